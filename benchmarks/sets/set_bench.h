// One product, one kind of run-time set, or an N:M pattern of the weights, and
// the fraction that it keeps in; times of the dense kernel and of the other
// out.
//
// How a cell is measured:
//
//   - both kernels have the configuration that the cost model chooses, the same
//     inputs, and weights packed alike, of which there are copies of 4x the
//     last-level cache, and five at least; calls rotate over them;
//   - every call with a set gets a fresh one: `kept` of its granules, drawn
//     without replacement. Of rows it is drawn as a mask, [rows, lists] of
//     bytes, and making the lists from that (`prune.compact`) is timed, too;
//   - before anything is timed, what the set keeps is compared with the dense
//     result to the bit (not with a set along K, whose sums are others);
//     weights with a pattern have it on both sides;
//   - both take turns in blocks ABBA or BAAB, drawn at random. The speedup is
//     dense / set, of medians, with the interval of a paired bootstrap.
#ifndef COPPICE_BENCHMARKS_SETS_SET_BENCH_H
#define COPPICE_BENCHMARKS_SETS_SET_BENCH_H

#include "runtime/base/dtype.h"
#include "runtime/base/status.h"
#include "runtime/bench/statistics.h"

#include <cstdint>
#include <string>
#include <vector>

namespace coppice::bench {

/// `RowsOfPanels`, `RowsOfGroups`: a set of rows for each panel or group.
enum class SetKind {
  Rows,
  Panels,
  Groups,
  Pattern,
  RowsOfPanels,
  RowsOfGroups
};

struct SetCell {
  SetKind kind;
  int64_t granule; ///< columns or values along K; 1 for rows; M of N:M
  int64_t m, n, k;
  rt::DType dtype;
  int threads;
  double kept; ///< fraction of granules
  std::string isa;
};

struct SetBenchOptions {
  double maxSeconds = 2;
  int64_t maxRepeats = 200;
  uint64_t seed = 1;
};

struct SetResult {
  SetCell cell;
  std::string isa;
  std::vector<double> dense, pruned; ///< seconds, pair by pair
  double ideal = 0;                  ///< all granules / kept ones
  double speedup = 0;
  rt::Interval interval{};
  bool converged = false; ///< the interval is within 1 %
};

/// N of N:M.
int64_t keptOfGroup(const SetCell &cell);

/// "rows", "panels of 64", "groups of 128", "2 of 4", "rows of panels of 64",
/// "rows of groups of 128".
std::string nameOf(const SetCell &cell);

rt::Result<SetResult> measureSet(const SetCell &cell,
                                 const SetBenchOptions &options);

} // namespace coppice::bench

#endif
