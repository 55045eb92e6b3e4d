// Results of a cell come in, text goes out: one object of schema
// coppice.results/1, and rows of the table that people read.
#ifndef COPPICE_RUNTIME_BENCH_RECORD_H
#define COPPICE_RUNTIME_BENCH_RECORD_H

#include "runtime/bench/bench.h"

namespace coppice::rt {

/// One line. Every field of the schema is there; null where it is not known.
std::string resultRecord(const BenchContext &context, const CellResult &result);

/// The table's heading, and a line for a cell; each ends in a line end.
std::string tableHeading(bool hasDense);
std::string tableRow(const CellResult &result);

/// Where the time beyond the bound went: a line for each side.
std::string gapText(const CellResult &result);

/// Of bundles with routes: the rows that they kept, and the shares of products,
/// routers, compaction and the rest in the time of dispatches. Else empty.
std::string routesText(const BenchContext &context, const CellResult &result);

/// A line for each dispatch of each side: shape, measured, predicted, bound,
/// the bound's share of the measured time, and FLOP or bytes a second.
std::string dispatchTable(const BenchContext &context,
                          const CellResult &result);

} // namespace coppice::rt

#endif
