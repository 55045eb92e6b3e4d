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

/// The mean of the middle two of an even number; reorders `samples`.
static double medianOf(std::vector<double> &samples) {
  auto middle = samples.begin() + std::ptrdiff_t(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  if (samples.size() % 2)
    return *middle;
  return (*middle + *std::max_element(samples.begin(), middle)) / 2;
}

static double meanOf(const std::vector<double> &samples) {
  return std::accumulate(samples.begin(), samples.end(), 0.0) /
         static_cast<double>(samples.size());
}

std::vector<double> resampleRatios(std::span<const double> numerator,
                                   std::span<const double> denominator,
                                   uint64_t seed, int resamples,
                                   Center center) {
  assert(numerator.size() == denominator.size() && "samples come in pairs");
  uint64_t n = numerator.size();
  std::vector<double> ratios(static_cast<size_t>(std::max(resamples, 0)),
                             notANumber);
  if (n < 2)
    return ratios;

  // The standard fixes mt19937_64's output but not its distributions', so the
  // index is made here: the high half of random * n.
  std::mt19937_64 random(seed);
  std::vector<double> above(n), below(n);
  for (double &ratio : ratios) {
    for (uint64_t i = 0; i < n; ++i) {
      auto wide = static_cast<unsigned __int128>(random()) * n;
      size_t pair = static_cast<size_t>(wide >> 64);
      above[i] = numerator[pair];
      below[i] = denominator[pair];
    }
    ratio = center == Center::Mean ? meanOf(above) / meanOf(below)
                                   : medianOf(above) / medianOf(below);
  }
  return ratios;
}

Interval bootstrapRatio(std::span<const double> numerator,
                        std::span<const double> denominator, uint64_t seed,
                        int resamples, double level) {
  if (numerator.size() < 2 || resamples < 1)
    return {notANumber, notANumber};
  return intervalOf(
      resampleRatios(numerator, denominator, seed, resamples, Center::Mean),
      level);
}

Interval intervalOf(std::vector<double> ratios, double level) {
  std::sort(ratios.begin(), ratios.end());
  return {sortedQuantile(ratios, (1 - level) / 2),
          sortedQuantile(ratios, (1 + level) / 2)};
}

} // namespace coppice::rt
