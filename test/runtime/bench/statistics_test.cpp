// Statistics against values computed by hand.
#include "runtime/bench/statistics.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <vector>

using namespace coppice::rt;

TEST(Summary, OfFiveSamplesInAnyOrder) {
  std::vector<double> samples{10, 1, 3, 2, 4};
  Summary s = summarize(samples);
  EXPECT_DOUBLE_EQ(s.mean, 4);
  EXPECT_DOUBLE_EQ(s.median, 3);
  EXPECT_DOUBLE_EQ(s.p5, 1.2);  // 0.2 of the way from 1 to 2
  EXPECT_DOUBLE_EQ(s.p95, 8.8); // 0.8 of the way from 4 to 10
  EXPECT_EQ(s.n, 5);
}

TEST(Summary, OfFewSamples) {
  std::vector<double> two{1, 2};
  EXPECT_DOUBLE_EQ(summarize(two).median, 1.5);
  std::vector<double> one{7};
  EXPECT_DOUBLE_EQ(summarize(one).p95, 7);
  EXPECT_TRUE(std::isnan(summarize({}).mean));
  EXPECT_EQ(summarize({}).n, 0);
}

TEST(BootstrapRatio, NoiseThatMeetsBothSidesCancels) {
  std::vector<double> below{1, 5, 2, 9, 4, 3}, above;
  for (double value : below)
    above.push_back(2 * value);
  Interval interval = bootstrapRatio(above, below, 7);
  EXPECT_DOUBLE_EQ(interval.low, 2);
  EXPECT_DOUBLE_EQ(interval.high, 2);
}

TEST(BootstrapRatio, TheSeedDecides) {
  std::vector<double> above{3, 4, 5, 3, 4}, below{1, 1.5, 2, 1, 1.2};
  Interval a = bootstrapRatio(above, below, 1),
           b = bootstrapRatio(above, below, 1),
           c = bootstrapRatio(above, below, 2);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_TRUE(a.low != c.low || a.high != c.high);
  double ratio = (3 + 4 + 5 + 3 + 4) / (1 + 1.5 + 2 + 1 + 1.2);
  EXPECT_LT(a.low, ratio);
  EXPECT_GT(a.high, ratio);
}

TEST(BootstrapRatio, AgreesWithTheDeltaMethod) {
  // Independent noise of standard deviation 0.1 around 2 and 1: the ratio of
  // means has standard error 2 * sqrt((0.1/2)^2 + 0.1^2) / sqrt(n).
  constexpr size_t n = 400;
  std::mt19937_64 random(3);
  auto noise = [&] { // uniform, of that standard deviation
    double u = static_cast<double>(random() >> 11) * 0x1p-53;
    return 0.1 * std::sqrt(12.0) * (u - 0.5);
  };
  std::vector<double> above, below;
  for (size_t i = 0; i < n; ++i) {
    above.push_back(2 + noise());
    below.push_back(1 + noise());
  }
  Interval interval = bootstrapRatio(above, below, 1);
  double error = 2 * std::sqrt(0.05 * 0.05 + 0.1 * 0.1) / std::sqrt(n);
  EXPECT_NEAR(interval.high - interval.low, 2 * 1.96 * error, 0.3 * error);
  EXPECT_NEAR(interval.relativeHalfWidth(2), 1.96 * error / 2, 0.1 * error);
}

TEST(BootstrapRatio, OnePairSaysNothing) {
  std::vector<double> one{1};
  EXPECT_TRUE(std::isnan(bootstrapRatio(one, one, 1).low));
}
