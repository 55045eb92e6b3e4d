// Curves: interpolation and choice, against figures worked out on paper.
#include "runtime/costmodel/curve.h"

#include <gtest/gtest.h>

using namespace coppice::rt;

TEST(Curve, IsLinearInTheLogarithmOfRows) {
  Curve curve{{}, "test", {{2, 0, 0.5, 1}, {32, 0, 0.25, 3}}};
  EXPECT_DOUBLE_EQ(curve.at(1, 7).fraction, 0.5);
  EXPECT_DOUBLE_EQ(curve.at(2, 7).fraction, 0.5);
  // Half way between 2 and 32: 1 / fraction between 2 and 4.
  EXPECT_DOUBLE_EQ(curve.at(8, 7).fraction, 1.0 / 3);
  EXPECT_DOUBLE_EQ(curve.at(8, 7).fixedSeconds, 2);
  EXPECT_DOUBLE_EQ(curve.at(99, 7).fraction, 0.25);
}

TEST(Curve, IsLinearInTheLogarithmOfDepthFirst) {
  Curve curve{{}, "test", {{1, 8, 0.5, 0}, {1, 32, 0.25, 0}, {4, 0, 1, 0}}};
  EXPECT_DOUBLE_EQ(curve.at(1, 16).fraction, 1.0 / 3);
  EXPECT_DOUBLE_EQ(curve.at(2, 16).fraction, 0.5); // between 3 and 1
  EXPECT_DOUBLE_EQ(curve.at(4, 16).fraction, 1);
  EXPECT_DOUBLE_EQ(curve.at(1, 1).fraction, 0.5);
}

TEST(Curve, TheMostAlikeServes) {
  CurveKey wanted{"gemm", "bf16", "bf16", "avx512_bf16", 2};
  CurveKey others[] = {{"gemm", "bf16", "bf16", "avx512_bf16", 1},
                       {"gemm", "bf16", "bf16", "avx2", 2},
                       {"gemm", "f32", "bf16", "avx512_bf16", 2},
                       {"gemm", "", "", "", 0},
                       {"other", "", "", "", 0}};
  EXPECT_GT(matchScore(wanted, wanted), matchScore(others[0], wanted));
  EXPECT_GT(matchScore(others[0], wanted), matchScore(others[1], wanted));
  EXPECT_GT(matchScore(others[1], wanted), matchScore(others[3], wanted));
  EXPECT_GT(matchScore(others[3], wanted), matchScore(others[2], wanted));
  EXPECT_GT(matchScore(others[2], wanted), matchScore(others[4], wanted));
  EXPECT_GE(matchScore(others[4], wanted), 0);
  EXPECT_LT(matchScore({"norm", "", "", "", 0}, wanted), 0);
}
