// Checks a step before anything runs (coppice/runtime.h, coppice_step) and
// tells what it would do to the slots.
#ifndef COPPICE_RUNTIME_SESSION_STEP_CHECK_H
#define COPPICE_RUNTIME_SESSION_STEP_CHECK_H

#include "runtime/base/status.h"
#include "runtime/bundle/program.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace coppice::rt {

// What a session can take.
struct StepLimits {
  int64_t rows = 0, headRows = 0, slots = 0, context = 0, vocabulary = 0;
  int64_t routeColumns = 0;
};

struct CheckedStep {
  SymbolValues symbols;
  // Slots that the step touches and the tokens that they hold after it.
  std::vector<std::pair<int32_t, int64_t>> lengths;
};

// `held`: tokens in each slot, or null where the step need not continue them.
Result<CheckedStep> checkStep(const coppice_step &step,
                              const StepLimits &limits, const int64_t *held);

} // namespace coppice::rt

#endif
