// Why a step took longer than its bound: the measurement of one side of a cell
// comes in, the seconds that each cause took go out.
#ifndef COPPICE_RUNTIME_BENCH_GAP_H
#define COPPICE_RUNTIME_BENCH_GAP_H

#include "runtime/costmodel/estimate.h"

#include <vector>

namespace coppice::rt {

/// Sums to measured - bound. Each part is what dispatches (or the host) took
/// beyond their own bounds, found in repeats with clocks around each dispatch;
/// `residual` is what those repeats do not explain of the repeats without.
struct Gap {
  double gemm = 0;     ///< GEMMs, less the overhead of their dispatch
  double nonGemm = 0;  ///< all other dispatches, likewise
  double dispatch = 0; ///< handing work to the pool
  double host = 0;     ///< before the first dispatch and after the last
  double residual = 0;

  double total() const { return gemm + nonGemm + dispatch + host + residual; }
};

/// `measured`: mean seconds of a step; `dispatches` and `host`: medians of
/// the observed repeats; `overhead`: of one dispatch over the pool.
Gap attributeGap(const Program &program, const Estimate &estimate,
                 double measured, const std::vector<double> &dispatches,
                 double host, double overhead);

} // namespace coppice::rt

#endif
