// What `bench-gemm` has found on this machine comes in (peers.jsonl, one object
// a shape), how our dense kernels compare with the best peer goes out.
#ifndef COPPICE_RUNTIME_BENCH_PEERS_FILE_H
#define COPPICE_RUNTIME_BENCH_PEERS_FILE_H

#include "runtime/base/status.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

struct PeerComparison {
  /// Geometric mean over the shapes of (best peer's time / ours): above 1, ours
  /// is faster.
  double ratio = 0;
  int64_t shapes = 0;
  std::vector<std::string> peers; ///< "oneDNN 3.7", those that were best
  std::string date;               ///< of the latest record
};

/// Of the records of `text` for this dtype, thread count and CPU, the latest of
/// each shape: a record names the fastest peer of its run. Nothing where there
/// are none. Lines that are no such records are passed over: a comparison is no
/// reason to fail.
std::optional<PeerComparison> comparePeers(std::string_view text,
                                           std::string_view dtype, int threads,
                                           std::string_view cpu);

/// The text of $XDG_CACHE_HOME/coppice/peers.jsonl, or below ~/.cache; empty
/// where there is none.
std::string readPeersFile();

} // namespace coppice::rt

#endif
