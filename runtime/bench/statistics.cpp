// See statistics.h.
#include "runtime/bench/statistics.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace coppice::rt {

constexpr double notANumber = std::numeric_limits<double>::quiet_NaN();

static double sortedQuantile(std::span<const double> sorted, double q) {
  if (sorted.empty())
    return notANumber;
  double where = q * static_cast<double>(sorted.size() - 1);
  size_t below = static_cast<size_t>(where);
  if (below + 1 >= sorted.size())
    return sorted.back();
  double fraction = where - static_cast<double>(below);
  return sorted[below] + fraction * (sorted[below + 1] - sorted[below]);
}

double quantile(std::span<const double> samples, double q) {
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  return sortedQuantile(sorted, q);
}

Summary summarize(std::span<const double> samples) {
  if (samples.empty())
    return {notANumber, notANumber, notANumber, notANumber, 0};
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  double sum = std::accumulate(sorted.begin(), sorted.end(), 0.0);
  return {sum / static_cast<double>(sorted.size()), sortedQuantile(sorted, 0.5),
          sortedQuantile(sorted, 0.05), sortedQuantile(sorted, 0.95),
          static_cast<int64_t>(sorted.size())};
}

Interval bootstrapRatio(std::span<const double> numerator,
                        std::span<const double> denominator, uint64_t seed,
                        int resamples, double level) {
  assert(numerator.size() == denominator.size() && "samples come in pairs");
  uint64_t n = numerator.size();
  if (n < 2 || resamples < 1)
    return {notANumber, notANumber};

  // The standard fixes mt19937_64's output but not its distributions', so the
  // index is made here: the high half of random * n.
  std::mt19937_64 random(seed);
  std::vector<double> ratios(static_cast<size_t>(resamples));
  for (double &ratio : ratios) {
    double above = 0, below = 0;
    for (uint64_t i = 0; i < n; ++i) {
      auto wide = static_cast<unsigned __int128>(random()) * n;
      size_t pair = static_cast<size_t>(wide >> 64);
      above += numerator[pair];
      below += denominator[pair];
    }
    ratio = above / below;
  }
  std::sort(ratios.begin(), ratios.end());
  return {sortedQuantile(ratios, (1 - level) / 2),
          sortedQuantile(ratios, (1 + level) / 2)};
}

} // namespace coppice::rt
