// See estimate.h.
#include "runtime/costmodel/estimate.h"

#include <algorithm>
#include <limits>

namespace coppice::rt {

double memorySeconds(const Work &work, const Ceilings &ceilings,
                     double cacheBytes, bool cold) {
  double fromDram = cold ? work.coldBytes : 0;
  double warm = std::max(0.0, work.bytes() - fromDram);
  if (warm > cacheBytes) {
    fromDram += warm;
    warm = 0;
  }
  return fromDram / ceilings.dramReadBytesPerSecond +
         warm / ceilings.cacheReadBytesPerSecond;
}

static double predict(const Work &work, const Efficiency &efficiency,
                      const Ceilings &ceilings, double cacheBytes, bool cold) {
  double compute = work.flops / (ceilings.flopsPerSecond * efficiency.compute);
  double memory =
      memorySeconds(work, ceilings, cacheBytes, cold) / efficiency.memory;
  return std::max(compute, memory) + ceilings.dispatchSeconds;
}

Result<Estimate> estimate(const Program &program,
                          const std::vector<StepShape> &steps,
                          const Machine &machine, int threads, bool hot) {
  const Ceilings &ceilings = machine.at(threads);
  double peak = ceilings.flopsPerSecond,
         bandwidth = ceilings.dramReadBytesPerSecond,
         cacheBytes = static_cast<double>(machine.cacheBytes);

  Estimate result;
  result.dispatches.resize(program.dispatches.size());
  for (size_t s = 0; s < steps.size(); ++s) {
    Result<std::vector<Work>> work = evaluateWork(program, steps[s]);
    if (!work)
      return work.status();
    bool cold = !hot && s == 0;
    double stepBytes = 0;
    for (const Work &w : *work)
      stepBytes += w.coldBytes;
    // What may still be in the cache need not come from DRAM. Which bytes those
    // are is not known: any one dispatch may have them all, the whole step has
    // them once.
    double kept = cold ? 0 : cacheBytes;
    double bound = 0;
    for (size_t i = 0; i < work->size(); ++i) {
      const Work &w = (*work)[i];
      DispatchEstimate &d = result.dispatches[i];
      double b = std::max(w.flops / peak,
                          std::max(0.0, w.coldBytes - kept) / bandwidth);
      double p = predict(w, machine.of(nameOf(program.dispatches[i].kind)),
                         ceilings, cacheBytes, cold || stepBytes > cacheBytes);
      bound += b;
      d.work += w;
      d.boundSeconds += b;
      d.predictedSeconds += p;
      result.predictedSeconds += p;
      result.total += w;
    }
    result.boundSeconds +=
        std::max(bound, std::max(0.0, stepBytes - kept) / bandwidth);
  }
  result.total.m = result.total.n = result.total.k = 0;
  return result;
}

double amdahlSpeedup(const std::vector<SiteShare> &sites) {
  double all = 0, left = 0;
  for (const SiteShare &site : sites) {
    double remains = site.denseWork > 0 ? site.prunedWork / site.denseWork : 1;
    all += site.denseSeconds;
    left += site.denseSeconds * remains;
  }
  if (all <= 0 || left <= 0)
    return std::numeric_limits<double>::quiet_NaN();
  return all / left;
}

std::map<std::string, double> workBySite(const Program &program,
                                         const Estimate &estimate) {
  std::map<std::string, double> flops, bytes;
  for (size_t i = 0; i < program.dispatches.size(); ++i) {
    const std::string &site = program.dispatches[i].site;
    flops[site] += estimate.dispatches[i].work.flops;
    bytes[site] += estimate.dispatches[i].work.bytes();
  }
  for (auto &[site, work] : flops)
    if (work == 0)
      work = bytes[site];
  return flops;
}

} // namespace coppice::rt
