// What stays by magnitude, against definitions that are slow and plain.
#include "coppice/Replace/SelectPattern.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

using namespace coppice;

namespace {

using Row = std::vector<float>;

Row select(Row row, int64_t kept, int64_t of) {
  selectByMagnitude(row, kept, of);
  return row;
}

Row largest(Row row, double sparsity) {
  selectLargest(row, sparsity);
  return row;
}

/// Small integers: most groups have equals.
Row randomRow(size_t size, std::mt19937 &generator) {
  std::uniform_int_distribution<int> values(-3, 3);
  Row row(size);
  for (float &x : row)
    x = float(values(generator));
  return row;
}

/// The first `count` in the order by magnitude, then by place, stay.
void keepFirst(float *begin, size_t size, size_t count) {
  std::vector<size_t> order(size);
  std::iota(order.begin(), order.end(), size_t(0));
  std::ranges::sort(order, [&](size_t a, size_t b) {
    float x = std::fabs(begin[a]), y = std::fabs(begin[b]);
    return x > y || (x == y && a < b);
  });
  for (size_t i = count; i < size; ++i)
    begin[order[i]] = 0;
}

TEST(SelectByMagnitude, theLargestOfEachGroupStay) {
  EXPECT_EQ(select({1, -4, 3, 2, 0, 5, -6, 1}, 2, 4),
            Row({0, -4, 3, 0, 0, 5, -6, 0}));
  EXPECT_EQ(select({1, -4, 3, 2, 0, 5, -6, 1}, 1, 4),
            Row({0, -4, 0, 0, 0, 0, -6, 0}));
  EXPECT_EQ(select({1, 2, 3, 4, 5, 6, 7, 8}, 4, 8),
            Row({0, 0, 0, 0, 5, 6, 7, 8}));
}

// By `<` on floats neither is an order: sorting would read out of bounds.
TEST(SelectByMagnitude, nanIsLargerThanEveryNumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              inf = std::numeric_limits<float>::infinity();
  auto isNan = [](float x) { return std::isnan(x); };
  Row row = select({1, nan, inf, -nan, -inf, 2, nan, 3}, 2, 4);
  EXPECT_TRUE(isNan(row[1]) && isNan(row[3]) && isNan(row[6]));
  EXPECT_EQ(row[4], -inf);
  EXPECT_EQ(std::ranges::count(row, 0.0f), 4);
  std::mt19937 generator(7);
  for (int64_t of : {64, 1000}) {
    Row mixed = randomRow(1000, generator);
    for (size_t i = 0; i < mixed.size(); i += 3)
      mixed[i] = nan;
    Row chosen = select(mixed, of / 8, of);
    EXPECT_EQ(std::ranges::count_if(chosen, isNan),
              1000 / of * (of / 8) + (1000 % of ? of / 8 : 0));
    EXPECT_EQ(std::ranges::count_if(largest(mixed, 0.75), isNan), 250);
  }
}

TEST(SelectByMagnitude, ofEqualOnesTheFirstStay) {
  EXPECT_EQ(select({2, -2, 2, -2}, 2, 4), Row({2, -2, 0, 0}));
  EXPECT_EQ(select({1, 2, -1, 1}, 2, 4), Row({1, 2, 0, 0}));
  EXPECT_EQ(select({1, 1, 1}, 1, 2), Row({1, 0, 1}));
}

TEST(SelectByMagnitude, aShortLastGroupIsOneWithZerosBehindIt) {
  EXPECT_EQ(select({1, 2, 3, 4, 5, 6}, 2, 4), Row({0, 0, 3, 4, 5, 6}));
  EXPECT_EQ(select({1, 2, 3, 4, 5, 6, 7}, 2, 4), Row({0, 0, 3, 4, 0, 6, 7}));
  EXPECT_EQ(select({3}, 1, 4), Row({3}));
  EXPECT_EQ(select({}, 1, 4), Row({}));
}

TEST(SelectByMagnitude, isTheOrderByMagnitudeThenPlace) {
  std::mt19937 generator(7);
  for (auto [kept, of] : {std::pair<size_t, size_t>{2, 4},
                          {1, 4},
                          {4, 8},
                          {3, 7},
                          {5, 5},
                          {1, 1}}) {
    Row row = randomRow(59, generator), expected = row;
    for (size_t begin = 0; begin < row.size(); begin += of)
      keepFirst(expected.data() + begin, std::min(of, row.size() - begin),
                kept);
    EXPECT_EQ(select(row, int64_t(kept), int64_t(of)), expected)
        << kept << " of " << of;
  }
}

TEST(SelectLargest, isTheOrderOfAllElements) {
  EXPECT_EQ(largest({1, -1, 1, 2}, 0.5), Row({1, 0, 0, 2}));
  EXPECT_EQ(largest({-3, 1, 2}, 0.3), Row({-3, 1, 2})); // floor of 0.9
  EXPECT_EQ(largest({-3, 1, 2}, 1.0 / 3), Row({-3, 0, 2}));
  EXPECT_EQ(largest({}, 0.5), Row({}));
  std::mt19937 generator(8);
  for (double sparsity : {0.0, 0.1, 0.25, 0.5, 0.7, 0.99}) {
    Row row = randomRow(101, generator), expected = row;
    keepFirst(expected.data(), row.size(),
              row.size() - size_t(sparsity * double(row.size()) + 1e-9));
    EXPECT_EQ(largest(row, sparsity), expected) << sparsity;
  }
}

} // namespace
