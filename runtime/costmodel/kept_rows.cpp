// See kept_rows.h.
#include "runtime/costmodel/kept_rows.h"

#include <algorithm>
#include <cmath>

namespace coppice::rt {

/// log of n! / (k! (n - k)!).
static double logChoose(double n, double k) {
  return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
}

std::vector<KeptRows> keptRows(int64_t rows, double density) {
  if (rows <= 0 || density <= 0)
    return {{0, 1}};
  if (density >= 1)
    return {{rows, 1}};
  // Nearly all of the mass is within 9 standard deviations and some; the rest
  // is spread over what is there.
  double n = static_cast<double>(rows), mean = n * density,
         reach = 9 * std::sqrt(mean * (1 - density)) + 12;
  auto low = static_cast<int64_t>(std::max(0.0, std::floor(mean - reach)));
  auto high = static_cast<int64_t>(std::min(n, std::ceil(mean + reach)));
  std::vector<KeptRows> exact;
  double total = 0;
  for (int64_t k = low; k <= high; ++k) {
    double kept = static_cast<double>(k);
    double probability =
        std::exp(logChoose(n, kept) + kept * std::log(density) +
                 (n - kept) * std::log1p(-density));
    exact.push_back({k, probability});
    total += probability;
  }
  for (KeptRows &entry : exact)
    entry.probability /= total;
  constexpr size_t few = 33;
  if (exact.size() <= few)
    return exact;

  // No row at all is a case of its own: then no weight is read.
  std::vector<KeptRows> strata;
  size_t first = 0;
  if (exact.front().rows == 0)
    strata.push_back(exact[first++]);
  constexpr double share = 1.0 / 24;
  double probability = 0, moment = 0;
  for (size_t i = first; i < exact.size(); ++i) {
    probability += exact[i].probability;
    moment += exact[i].probability * static_cast<double>(exact[i].rows);
    if (probability >= share || i + 1 == exact.size()) {
      if (probability > 0)
        strata.push_back(
            {static_cast<int64_t>(std::llround(moment / probability)),
             probability});
      probability = moment = 0;
    }
  }
  return strata;
}

} // namespace coppice::rt
