// Results of the peer bench as text: records (schema coppice.peers/1, one
// object a cell), rows of the table, and the means at its end.
#ifndef COPPICE_BENCHMARKS_PEERS_GEMM_RECORD_H
#define COPPICE_BENCHMARKS_PEERS_GEMM_RECORD_H

#include "benchmarks/peers/gemm_bench.h"

namespace coppice::bench {

std::string gemmRecord(const CellResult &result);

std::string gemmHeading();
std::string gemmRow(const CellResult &result);
/// A line for each (dtype, threads, rows: 1, 2 to 16, more).
std::string gemmMeans(const std::vector<CellResult> &results);

/// Where every run's records are kept for `coppice-run bench`:
/// $XDG_CACHE_HOME/coppice/peers.jsonl, or below ~/.cache; empty when neither
/// variable is set.
std::string peersPath();

} // namespace coppice::bench

#endif
