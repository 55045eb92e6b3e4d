// See gap.h.
#include "runtime/bench/gap.h"

#include <algorithm>

namespace coppice::rt {

Gap attributeGap(const Program &program, const Estimate &estimate,
                 double measured, const std::vector<double> &dispatches,
                 double host, double overhead) {
  Gap gap;
  gap.host = host;
  for (size_t i = 0; i < dispatches.size(); ++i) {
    const DispatchEstimate &e = estimate.dispatches[i];
    double beyond = dispatches[i] - e.boundSeconds;
    // A dispatch goes to the pool once a step.
    double pool = std::clamp(overhead * static_cast<double>(e.steps.size()),
                             0.0, std::max(0.0, beyond));
    gap.dispatch += pool;
    bool isGemm = program.dispatches[i].kind == DispatchKind::Gemm;
    (isGemm ? gap.gemm : gap.nonGemm) += beyond - pool;
  }
  gap.residual = measured - estimate.boundSeconds -
                 (gap.gemm + gap.nonGemm + gap.dispatch + gap.host);
  return gap;
}

} // namespace coppice::rt
