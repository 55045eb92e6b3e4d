// See estimate.h.
#include "runtime/costmodel/estimate.h"

#include "runtime/costmodel/kept_rows.h"
#include "runtime/costmodel/routing.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace coppice::rt {

DispatchWork dispatchWork(DispatchKind kind, const Work &work, bool cold) {
  DispatchWork result;
  result.kind = nameOf(kind);
  result.storage = work.storage;
  result.arithmetic = work.arithmetic;
  result.flops = work.executedFlops;
  result.coldBytes = cold ? work.coldBytes : 0;
  result.warmBytes = std::max(0.0, work.bytes() - result.coldBytes);
  result.rows = work.m > 0 ? work.m : work.rows;
  result.n = work.n;
  result.k = work.k;
  result.panel = work.panel;
  result.items = work.items;
  return result;
}

/// The terms of `time` with a probability, added to those of `sum`.
static void addTerms(DispatchTime &sum, const DispatchTime &time, double p) {
  sum.workFlops += p * time.workFlops;
  sum.coldBytes += p * time.coldBytes;
  sum.warmBytes += p * time.warmBytes;
  sum.paddedFlops += p * time.paddedFlops;
  sum.computeSeconds += p * time.computeSeconds;
  sum.coldSeconds += p * time.coldSeconds;
  sum.warmSeconds += p * time.warmSeconds;
  sum.waves += p * time.waves;
  sum.fraction += p * time.fraction;
  sum.fixedSeconds += p * time.fixedSeconds;
  sum.predictedSeconds += p * time.predictedSeconds;
}

/// Rows of whole tiles.
static double rowsInTiles(double rows, const Machine &machine) {
  double tile = static_cast<double>(machine.tileRows);
  return tile > 0 ? std::ceil(rows / tile) * tile : rows;
}

/// The expectation, over the numbers of rows that may be kept, of a dispatch's
/// time: a tile that is not full, or a product without rows, costs what it
/// costs, not what their mean would. `executedRows` gets that of the rows.
static DispatchTime expectedTime(const Dispatch &dispatch, const Work &whole,
                                 const StepShape &step,
                                 const std::vector<KeptRows> &distribution,
                                 const Machine &machine, std::string_view isa,
                                 int threads, bool cold, double &executedRows) {
  SymbolValues values = symbolsOf(step, dispatch.cost.window);
  double all = static_cast<double>(step.rows()), likeliest = -1;
  auto scaled = [&](int64_t extent, double share) {
    return std::max<int64_t>(1,
                             std::llround(static_cast<double>(extent) * share));
  };
  DispatchTime sum;
  sum.waves = sum.fraction = 0;
  for (const auto &[rows, probability] : distribution) {
    double share = static_cast<double>(rows) / all;
    RouteLoad load{share, rows > 0 ? 1.0 : 0.0,
                   1 - std::pow(1 - share, static_cast<double>(step.length))};
    Work work = keptWork(whole, step, load);
    work.m = whole.m > 0 ? scaled(whole.m, share) : 0;
    work.rows = scaled(whole.rows, share);
    work.items = countWorkItems(dispatch, values, rows);
    DispatchTime time =
        timeOf(dispatchWork(dispatch.kind, work, cold), machine, isa, threads);
    addTerms(sum, time, probability);
    executedRows += probability * rowsInTiles(work.activeRows, machine);
    if (probability <= likeliest)
      continue;
    likeliest = probability;
    sum.curve = time.curve;
    sum.limit = time.limit;
    sum.peakFlopsPerSecond = time.peakFlopsPerSecond;
  }
  return sum;
}

Result<Estimate> estimate(const Program &program,
                          const std::vector<StepShape> &steps,
                          const Machine &machine, std::string_view isa,
                          int threads, bool hot,
                          std::span<const RouteLoad> loads) {
  const Rates &best = machine.at(threads).best;
  double cacheBytes = static_cast<double>(machine.cacheBytes);

  Estimate result;
  result.dispatches.resize(program.dispatches.size());
  for (size_t s = 0; s < steps.size(); ++s) {
    Result<std::vector<Work>> whole = evaluateWholeWork(program, steps[s]);
    Result<std::vector<Work>> work = evaluateWork(program, steps[s], loads);
    for (const auto *made : {&whole, &work})
      if (!*made)
        return made->status();
    std::map<double, std::vector<KeptRows>> distributions; // by density
    bool cold = !hot && s == 0;
    double stepBytes = 0;
    for (const Work &w : *work)
      stepBytes += w.coldBytes;
    // What may still be in the cache need not come from DRAM. Which bytes those
    // are is not known: any one dispatch may have them all, the whole step has
    // them once.
    double kept = cold ? 0 : cacheBytes;
    double bound = 0, leastBytes = 0;
    for (size_t i = 0; i < work->size(); ++i) {
      const Work &w = (*work)[i];
      DispatchEstimate &d = result.dispatches[i];
      const Dispatch &dispatch = program.dispatches[i];
      bool isCold = cold || stepBytes > cacheBytes;
      DispatchTime time;
      if (dispatch.route) {
        double density = loadOf(program, dispatch, loads).rows;
        auto &distribution = distributions[density];
        if (distribution.empty())
          distribution = keptRows(steps[s].rows(), density);
        time = expectedTime(dispatch, (*whole)[i], steps[s], distribution,
                            machine, isa, threads, isCold, d.executedRows);
      } else {
        time = timeOf(dispatchWork(dispatch.kind, w, isCold), machine, isa,
                      threads);
        d.executedRows += rowsInTiles(w.activeRows, machine);
      }
      // How many zeros there are is not known: there may be nothing else.
      Work least = dispatch.zeros > 0 ? workWithoutZeros(w, 1) : w;
      time.boundSeconds =
          std::max(least.flops / peakOf(best, w.arithmetic, isa),
                   std::max(0.0, least.coldBytes - kept) / best.dram);
      bound += time.boundSeconds;
      leastBytes += least.coldBytes;
      d.work += w;
      d.boundSeconds += time.boundSeconds;
      d.predictedSeconds += time.predictedSeconds;
      result.predictedSeconds += time.predictedSeconds;
      result.total += w;
      d.steps.push_back(time);
    }
    result.boundSeconds +=
        std::max(bound, std::max(0.0, leastBytes - kept) / best.dram);
    result.predictedSeconds += machine.stepSeconds;
  }
  result.total.m = result.total.n = result.total.k = 0;
  result.total.rows = result.total.items = 0;
  return result;
}

const char *nameOf(CurveState state) {
  switch (state) {
  case CurveState::Measured:
    return "measured";
  case CurveState::Stale:
    return "stale";
  case CurveState::Unlike:
    return "unlike";
  case CurveState::Assumed:
    return "assumed";
  }
  return "";
}

CurveState curveStateOf(const Program &program, const Estimate &estimate,
                        const Machine &machine, std::string_view isa,
                        int threads) {
  CurveState worst = CurveState::Measured;
  for (size_t i = 0; i < estimate.dispatches.size(); ++i) {
    DispatchKind kind = program.dispatches[i].kind;
    if (kind != DispatchKind::Gemm && kind != DispatchKind::Attention)
      continue;
    const Work &work = estimate.dispatches[i].work;
    CurveKey wanted{std::string(nameOf(kind)),
                    std::string(nameOf(work.arithmetic)),
                    std::string(work.storage), std::string(isa),
                    machine.at(threads).threads};
    const Curve &curve = machine.curveFor(wanted);
    CurveState state = curve.isAssumed()        ? CurveState::Assumed
                       : !(curve.key == wanted) ? CurveState::Unlike
                       : curve.producer != program.producer
                           ? CurveState::Stale
                           : CurveState::Measured;
    worst = std::max(worst, state);
  }
  return worst;
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
    if (isAddedByRouting(program, i))
      continue;
    const std::string &site = program.dispatches[i].site;
    flops[site] += estimate.dispatches[i].work.flops;
    bytes[site] += estimate.dispatches[i].work.bytes();
  }
  for (auto &[site, work] : flops)
    if (work == 0)
      work = bytes[site];
  return flops;
}

std::map<std::string, double>
foldIntoSites(const std::map<std::string, double> &dense,
              const std::map<std::string, double> &pruned) {
  std::map<std::string, double> folded;
  for (const auto &[site, work] : pruned) {
    std::string owner = site;
    while (!owner.empty() && !dense.contains(owner)) {
      size_t dot = owner.rfind('.');
      owner.resize(dot == std::string::npos ? 0 : dot);
    }
    if (!owner.empty())
      folded[owner] += work;
  }
  return folded;
}

} // namespace coppice::rt
