// Lists of blocks of the fast program against the oracle's: what rounding may
// decide, and what it may not.
#include "runtime/verify/block_lists.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace coppice::rt;

namespace {
BlocksReport compare(std::vector<int32_t> fast, std::vector<int32_t> oracle,
                     std::vector<float> scores) {
  BlocksReport report;
  report.tolerance = 1e-3;
  compareBlockLists(report, fast, oracle, scores);
  return report;
}
} // namespace

TEST(BlockLists, EqualListsAgree) {
  BlocksReport report = compare({0, 3, -1}, {0, 3, -1}, {});
  EXPECT_EQ(report.lists, 1);
  EXPECT_EQ(report.disagreements, 0);
  EXPECT_TRUE(report.holds());
}

TEST(BlockLists, AMarginIsTheDifferenceOfScoresOverTheLargest) {
  // Block 2 instead of 1, then the reverse.
  BlocksReport report =
      compare({0, 2, 5}, {0, 1, 5}, {10, 4, 3.999f, -20, 1, 0});
  EXPECT_EQ(report.disagreements, 1);
  EXPECT_NEAR(report.largestMargin, 0.001 / 20, 1e-6);
  EXPECT_TRUE(report.holds());
  report = compare({0, 4, 5}, {0, 1, 5}, {10, 4, 3.999f, -20, 1, 0});
  EXPECT_NEAR(report.largestMargin, 3.0 / 20, 1e-6);
  EXPECT_FALSE(report.holds());
}

TEST(BlockLists, NoScoreExplainsOtherFaults) {
  const std::vector<float> scores(6, 1.0f);
  // Fewer blocks, another order, a block behind the row's own, none at all;
  // and lists that are not made of scores.
  EXPECT_FALSE(compare({0, 5, -1}, {0, 1, 5}, scores).holds());
  EXPECT_FALSE(compare({1, 0, 5}, {0, 1, 5}, scores).holds());
  EXPECT_FALSE(compare({0, 1, 6}, {0, 1, 5}, scores).holds());
  EXPECT_FALSE(compare({-1, -1, -1}, {0, 1, 5}, scores).holds());
  EXPECT_FALSE(compare({0, 2, 5}, {0, 1, 5}, {}).holds());
}

TEST(BlockLists, NaNDoesNotHold) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(compare({0, 2, 5}, {0, 1, 5}, {1, nan, 1, 1, 1, 1}).holds());
}
