#include "runtime/base/run_time_set.h"

#include <gtest/gtest.h>

#include <vector>

using namespace coppice::rt;

static Status check(std::vector<int32_t> set) {
  return checkSet("rows", set, 5);
}

TEST(RunTimeSet, AscendingElementsInRangeAreASet) {
  EXPECT_TRUE(check({}).ok());
  EXPECT_TRUE(check({0, 2, 4}).ok());
}

TEST(RunTimeSet, OthersAreRefusedWithTheirPosition) {
  EXPECT_EQ(check({0, 5}).message(), "a set of rows: expected elements of 0 to "
                                     "4, found 5 at position 1");
  EXPECT_EQ(check({-1}).message(), "a set of rows: expected elements of 0 to "
                                   "4, found -1 at position 0");
  EXPECT_EQ(check({1, 3, 3}).message(), "a set of rows: expected ascending "
                                        "elements, found 3 after 3 at "
                                        "position 2");
}
