// The formula of ranks, at published and at awkward shapes.
#include "coppice/Replace/StaticKPlan.h"

#include <gtest/gtest.h>

using namespace coppice;

namespace {

TEST(RankOf, hasThePublishedFiguresOfLlama31_8B) {
  EXPECT_EQ(rankOf(4096, 4096, 0.5), 1024);  // q, o
  EXPECT_EQ(rankOf(1024, 4096, 0.5), 416);   // k, v: 409.6
  EXPECT_EQ(rankOf(14336, 4096, 0.5), 1600); // gate, up: 1592.9
  EXPECT_EQ(rankOf(4096, 14336, 0.5), 1600); // down
}

TEST(RankOf, roundsUpToSixteenOnlyAboveSixteen) {
  EXPECT_EQ(rankOf(40, 40, 0.5), 10); // 10
  EXPECT_EQ(rankOf(91, 44, 0.5), 14); // 14.8
  EXPECT_EQ(rankOf(64, 64, 0.5), 16); // 16
  EXPECT_EQ(rankOf(66, 66, 0.5), 16); // 16.5, of which the floor is one
  EXPECT_EQ(rankOf(70, 70, 0.5), 32); // 17.5
}

TEST(RankOf, isAtLeastOneAndAtMostThatOfTheWeight) {
  EXPECT_EQ(rankOf(8, 8, 0.99), 1);
  EXPECT_EQ(rankOf(40, 3000, 0.0), 40); // 39.5 would be 48
  EXPECT_EQ(rankOf(1, 1, 0.5), 1);
}

// Rows that stay dense take from the same budget: (1 - s) N K parameters are
// rho N K and r (N + K - rho N).
TEST(RankOf, retainedRowsLowerIt) {
  EXPECT_EQ(rankOf(14336, 4096, 0.5, 0.25), 992); // 988.7
  EXPECT_EQ(rankOf(100, 80, 0.2, 0.05), 48);      // 6000 / 175 = 34.3
  EXPECT_EQ(rankOf(100, 80, 0.2, 0.75), 3);       // 400 / 105 = 3.8
  // No more than the rows that are not retained.
  EXPECT_EQ(rankOf(100, 4000, 0.0, 0.5), 50); // 49.4 would be 64
}

} // namespace
