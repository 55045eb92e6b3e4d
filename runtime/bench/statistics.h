// Samples come in, the figures that a record prints go out: mean, median,
// 5th and 95th percentile, and the interval of a ratio of two means.
//
// The interval of a speedup is a paired bootstrap of the ratio itself: repeats
// are measured in pairs (one dense, one pruned, back to back), so pairs are
// what is drawn again, and noise that hits both sides of a pair cancels.
#ifndef COPPICE_RUNTIME_BENCH_STATISTICS_H
#define COPPICE_RUNTIME_BENCH_STATISTICS_H

#include <cstdint>
#include <span>
#include <vector>

namespace coppice::rt {

/// Figures of one set of samples, in the unit of the samples. All are NaN when
/// there is no sample.
struct Summary {
  double mean, median, p5, p95;
  int64_t n = 0;
};

/// The q-quantile (0 <= q <= 1) by linear interpolation between the two order
/// statistics around q * (n - 1) (Hyndman and Fan's type 7).
double quantile(std::span<const double> samples, double q);

Summary summarize(std::span<const double> samples);

struct Interval {
  double low, high;

  /// Half the width, as a fraction of `center`.
  double relativeHalfWidth(double center) const {
    return (high - low) / 2 / center;
  }
};

/// What stands for a set of samples in a ratio.
enum class Center { Mean, Median };

/// `resamples` ratios center(numerator) / center(denominator), each of n pairs
/// drawn with replacement; see bootstrapRatio(). Fewer than two pairs: NaN.
std::vector<double> resampleRatios(std::span<const double> numerator,
                                   std::span<const double> denominator,
                                   uint64_t seed, int resamples, Center center);

/// The central part of resampled ratios that holds the fraction `level` of
/// them.
Interval intervalOf(std::vector<double> ratios, double level = 0.95);

/// Interval of mean(numerator) / mean(denominator) that holds the true ratio
/// with probability `level`: the percentiles of `resamples` ratios, each made
/// from n pairs drawn with replacement. Both spans have n elements, pair i
/// being (numerator[i], denominator[i]). The same seed gives the same interval
/// on every machine. Fewer than two pairs say nothing: the interval is NaN.
Interval bootstrapRatio(std::span<const double> numerator,
                        std::span<const double> denominator, uint64_t seed,
                        int resamples = 2000, double level = 0.95);

} // namespace coppice::rt

#endif
