// The work of a program in a cell and a machine come in; how fast it can be and
// how fast it will be go out.
//
// For each dispatch, with peak, bandwidths and overhead of the threads in use:
//
//   bound     = max(flops / peak, cold bytes / DRAM bandwidth)
//   predicted = max(flops / (peak * e_compute),
//                   cold bytes / (DRAM bandwidth * e_memory)
//                     + warm bytes / (cache bandwidth * e_memory)) + overhead
//
// where warm bytes are all other bytes that are read or written (activations);
// a dispatch that has more of them than the cache holds gets them from DRAM.
// A program's figures are the sums: dispatches follow one another.
#ifndef COPPICE_RUNTIME_COSTMODEL_ESTIMATE_H
#define COPPICE_RUNTIME_COSTMODEL_ESTIMATE_H

#include "runtime/costmodel/machine.h"
#include "runtime/costmodel/work.h"

#include <map>

namespace coppice::rt {

struct DispatchEstimate {
  Work work; ///< over all steps of the cell
  double boundSeconds = 0, predictedSeconds = 0;
};

struct Estimate {
  std::vector<DispatchEstimate> dispatches; ///< in the program's order
  Work total;
  double boundSeconds = 0, predictedSeconds = 0;
};

/// Time to move a dispatch's bytes at full bandwidth, by the formula above. Not
/// `cold`: all of them are warm.
double memorySeconds(const Work &work, const Ceilings &ceilings,
                     double cacheBytes, bool cold);

/// `hot`: nothing is known to be outside the cache when a step begins, so only
/// bytes beyond the cache's size count in the bound. The steps of a cell after
/// the first are hot in any case.
Result<Estimate> estimate(const Program &program,
                          const std::vector<StepShape> &steps,
                          const Machine &machine, int threads, bool hot);

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

/// FLOP of each site summed over its dispatches, or bytes where it has none.
std::map<std::string, double> workBySite(const Program &program,
                                         const Estimate &estimate);

} // namespace coppice::rt

#endif
