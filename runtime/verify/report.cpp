// See report.h.
#include "runtime/verify/report.h"

#include <algorithm>
#include <cmath>

namespace coppice::rt {

void ValueError::add(double more, int64_t moreRows) {
  rows += moreRows;
  if (std::isnan(more) || more > error)
    error = more;
}

bool VerifyReport::holds() const {
  auto holds = [](const ValueError &value) { return value.holds(); };
  return std::ranges::all_of(outputs, holds) &&
         std::ranges::all_of(sites, holds) && routes.holds() &&
         blocks.holds() && thresholds.holds();
}

} // namespace coppice::rt
