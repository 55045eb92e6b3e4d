// Values that a threshold sets to zero, the fast program's and the oracle's:
// what rounding may decide, and what it may not.
#include "runtime/verify/thresholds.h"

#include <gtest/gtest.h>

#include <limits>

using namespace coppice::rt;

namespace {
ThresholdsReport take(float fast, float oracle, float expected) {
  ThresholdsReport report;
  report.tolerance = 1e-3;
  takeDecision(report, /*threshold=*/0.5, /*scale=*/2, fast, oracle);
  EXPECT_EQ(report.values, 1);
  EXPECT_EQ(oracle, expected);
  return report;
}
} // namespace

TEST(Thresholds, ValuesThatBothKeepOrBothDropStay) {
  EXPECT_EQ(take(0.75f, 0.7f, 0.7f).disagreements, 0);
  EXPECT_EQ(take(-0.0f, 0.0f, 0.0f).disagreements, 0);
}

TEST(Thresholds, TheOracleTakesOverWhatIsZero) {
  ThresholdsReport report = take(0, -0.501f, 0);
  EXPECT_EQ(report.disagreements, 1);
  EXPECT_NEAR(report.largestMargin, 0.001 / 2, 1e-6);
  EXPECT_TRUE(report.holds());
  report = take(0.5005f, 0, 0.5005f);
  EXPECT_NEAR(report.largestMargin, 0.0005 / 2, 1e-6);
  EXPECT_TRUE(report.holds());
}

TEST(Thresholds, RoundingExplainsNoMoreThanItsTolerance) {
  EXPECT_FALSE(take(0, 0.6f, 0).holds());    // dropped a large one
  EXPECT_FALSE(take(0.4f, 0, 0.4f).holds()); // kept a small one
}

TEST(Thresholds, NaNDoesNotHold) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  ThresholdsReport report = take(0, nan, 0);
  EXPECT_FALSE(report.holds());
  float oracle = 0.5f;
  takeDecision(report, /*threshold=*/0.5, /*scale=*/2, /*fast=*/0, oracle);
  EXPECT_EQ(report.disagreements, 2);
  EXPECT_FALSE(report.holds()); // it is one for good
}
