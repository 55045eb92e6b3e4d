// The work of a program in a cell and a machine come in; how fast it can be and
// how fast it will be go out: for each dispatch by dispatch_time.h, for the
// program the sums, since dispatches follow one another, and for the prediction
// what a step takes besides.
#ifndef COPPICE_RUNTIME_COSTMODEL_ESTIMATE_H
#define COPPICE_RUNTIME_COSTMODEL_ESTIMATE_H

#include "runtime/costmodel/dispatch_time.h"
#include "runtime/costmodel/work.h"

#include <map>

namespace coppice::rt {

struct DispatchEstimate {
  Work work; ///< over all steps of the cell
  /// Rows that kernels execute: the active ones in whole tiles, where a machine
  /// has tiles.
  double executedRows = 0;
  double boundSeconds = 0, predictedSeconds = 0;
  std::vector<DispatchTime> steps; ///< the terms, step by step
};

struct Estimate {
  std::vector<DispatchEstimate> dispatches; ///< in the program's order
  Work total;
  double boundSeconds = 0, predictedSeconds = 0;
};

/// What `work` asks of a machine. Not `cold`: all of its bytes are in a cache.
DispatchWork dispatchWork(DispatchKind kind, const Work &work, bool cold);

/// `hot`: nothing is known to be outside the cache when a step begins, so only
/// bytes beyond the cache's size count in the bound. The steps of a cell after
/// the first are hot in any case. `isa` is that of the code which runs. The
/// machine outlives the estimate. `loads`: of each route (work.h); predicted
/// times are expectations over how many rows are kept.
Result<Estimate> estimate(const Program &program,
                          const std::vector<StepShape> &steps,
                          const Machine &machine, std::string_view isa,
                          int threads, bool hot,
                          std::span<const RouteLoad> loads = {});

/// What the curves are that a prediction rests on, from the best to the worst.
enum class CurveState {
  Measured, ///< with code of the compiler that made the program
  Stale,    ///< with code of another one, or of an unknown one
  Unlike,   ///< of other arithmetic, storage, instructions or threads
  Assumed,  ///< not measured
};
const char *nameOf(CurveState state); ///< "measured", ..

/// The worst of those of an estimate's products and attention, which take most
/// of the time.
CurveState curveStateOf(const Program &program, const Estimate &estimate,
                        const Machine &machine, std::string_view isa,
                        int threads);

/// What pruning leaves at a site: time it took in the dense program and work
/// of both.
struct SiteShare {
  double denseSeconds = 0, denseWork = 0, prunedWork = 0;
};

/// Amdahl's law over the sites of the dense program:
/// 1 / (1 - sum_i share_i * removed_i), with share_i = measured dense time of
/// site i / measured dense time of all, removed_i = 1 - pruned / dense work.
/// Work is FLOP, or bytes at sites without any. What pruning adds elsewhere is
/// not charged. NaN when nothing was measured.
double amdahlSpeedup(const std::vector<SiteShare> &sites);

/// FLOP of each site summed over its dispatches, or bytes where it has none;
/// without what routing adds.
std::map<std::string, double> workBySite(const Program &program,
                                         const Estimate &estimate);

/// The work of a pruned program by the sites of the dense one. A site that the
/// dense program has not is a part of the longest one of whose name it is a
/// step: "layers.0.attn.q.v", the right factor of that weight, of
/// "layers.0.attn.q". What is part of none is left out.
std::map<std::string, double>
foldIntoSites(const std::map<std::string, double> &dense,
              const std::map<std::string, double> &pruned);

} // namespace coppice::rt

#endif
