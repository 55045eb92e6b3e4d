// Attribution of the gap, against figures worked out on paper.
#include "runtime/bench/gap.h"

#include <gtest/gtest.h>

using namespace coppice::rt;

TEST(Gap, PartsAreWhatDispatchesTookBeyondTheirBounds) {
  Program program;
  program.dispatches.resize(3);
  program.dispatches[0].kind = DispatchKind::Gemm;
  Estimate estimate;
  estimate.dispatches.resize(3);
  for (DispatchEstimate &e : estimate.dispatches)
    e.steps.resize(2);
  estimate.dispatches[0].boundSeconds = 4;
  estimate.dispatches[1].boundSeconds = 1;
  estimate.boundSeconds = 5;
  // Two steps of 0.25 s of overhead for each dispatch; the last took less.
  Gap gap = attributeGap(program, estimate, 13, {7, 3, 0.125}, 0.5, 0.25);
  EXPECT_DOUBLE_EQ(gap.gemm, 2.5);
  EXPECT_DOUBLE_EQ(gap.nonGemm, 1.5);
  EXPECT_DOUBLE_EQ(gap.dispatch, 1.125);
  EXPECT_DOUBLE_EQ(gap.host, 0.5);
  EXPECT_DOUBLE_EQ(gap.residual, 13 - 5 - 5.625);
  EXPECT_DOUBLE_EQ(gap.total(), 8);
}
