// What the model says of cells that were measured, and where it must turn.
#include "lib/Schedule/SkipGain.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

using namespace coppice;

namespace {

class SkipGain : public testing::Test {
protected:
  mlir::MLIRContext context;
  mlir::Type f32 = mlir::Float32Type::get(&context),
             bf16 = mlir::BFloat16Type::get(&context);
};

// Cells of 512 rows, all kept: 0.74 to 0.85 and 0.94 to 1.06.
TEST_F(SkipGain, GroupsOfK) {
  EXPECT_NEAR(1 / timeByGroups(32, 1, f32), 0.80, 0.005);
  EXPECT_NEAR(1 / timeByGroups(128, 1, f32), 0.94, 0.005);
  EXPECT_DOUBLE_EQ(timeByGroups(32, 0.5, bf16), 0.5 * 1.25);
}

// 0.87 to 0.96, and 0.99 to 1.02.
TEST_F(SkipGain, PanelsOfN) {
  EXPECT_NEAR(1 / timeByPanels(32, 1), 0.93, 0.005);
  EXPECT_DOUBLE_EQ(timeByPanels(128, 1), 1);
  EXPECT_DOUBLE_EQ(timeByPanels(96, 0.5), timeByPanels(32, 0.5));
}

TEST_F(SkipGain, PlainLoopsNeverPayButForNearlyNothing) {
  EXPECT_GT(timeByPanels(24, 0.5), 1);
  EXPECT_GT(timeByPanels(20, 0.25), 1);
  // Groups of an odd size tear pairs of bf16 apart; in f32 there are none.
  EXPECT_GT(timeByGroups(25, 0.5, bf16), 1);
  EXPECT_LT(timeByGroups(25, 0.5, f32), 1);
}

TEST_F(SkipGain, AMaskIsSmallBesideAProduct) {
  EXPECT_LT(timeOfMask(2048), 0.05 * 768 * 2048);
  EXPECT_GT(timeOfMask(2048), 0);
}

TEST_F(SkipGain, FewZerosAreNotWorthLookingFor) {
  EXPECT_GT(timeByZeros(0), 1);
  EXPECT_LT(timeByZeros(0.05), 1);
}

} // namespace
