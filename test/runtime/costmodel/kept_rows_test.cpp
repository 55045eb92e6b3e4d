// The distribution of kept rows, against sums over all masks and over the exact
// binomial.
#include "runtime/costmodel/kept_rows.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace coppice::rt;

namespace {

double expectationOf(const std::vector<KeptRows> &distribution, auto function) {
  double sum = 0;
  for (const KeptRows &kept : distribution)
    sum += kept.probability * function(static_cast<double>(kept.rows));
  return sum;
}

} // namespace

TEST(KeptRows, OfFewRowsAreExact) {
  for (int rows : {1, 2, 5, 13})
    for (double p : {0.1, 0.5, 0.75}) {
      std::vector<double> expected(size_t(rows) + 1);
      for (int mask = 0; mask < 1 << rows; ++mask) {
        int kept = __builtin_popcount(unsigned(mask));
        expected[size_t(kept)] +=
            std::pow(p, kept) * std::pow(1 - p, rows - kept);
      }
      auto found = keptRows(rows, p);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t k = 0; k < found.size(); ++k) {
        EXPECT_EQ(found[k].rows, int64_t(k));
        EXPECT_NEAR(found[k].probability, expected[k], 1e-12);
      }
    }
}

TEST(KeptRows, OfManyRowsKeepMeanVarianceAndTheEmptyCase) {
  for (int64_t rows : {77, 512, 4096, 100000})
    for (double p : {0.003, 0.25, 0.5, 0.97}) {
      auto found = keptRows(rows, p);
      EXPECT_LE(found.size(), 40u);
      double mean = double(rows) * p, variance = mean * (1 - p);
      EXPECT_NEAR(expectationOf(found, [](double) { return 1.0; }), 1, 1e-12);
      EXPECT_NEAR(expectationOf(found, [](double k) { return k; }), mean, 0.5);
      EXPECT_NEAR(expectationOf(
                      found, [&](double k) { return (k - mean) * (k - mean); }),
                  variance, 0.12 * variance + 0.3)
          << rows << " " << p;
      double none = std::pow(1 - p, double(rows));
      EXPECT_NEAR(expectationOf(found, [](double k) { return k == 0.0; }), none,
                  1e-9);
      // In tiles of 64 rows, against all numbers of rows.
      double tiles = 0;
      for (int64_t k = 0; k <= rows; ++k) {
        double n = double(rows), x = double(k);
        tiles += std::ceil(x / 64) *
                 std::exp(std::lgamma(n + 1) - std::lgamma(x + 1) -
                          std::lgamma(n - x + 1) + x * std::log(p) +
                          (n - x) * std::log1p(-p));
      }
      EXPECT_NEAR(
          expectationOf(found, [](double k) { return std::ceil(k / 64); }),
          tiles, 0.03 * tiles + 0.02)
          << rows << " " << p;
    }
}

TEST(KeptRows, OfNoChanceAndOfCertainty) {
  for (auto [rows, p, kept] :
       {std::tuple(9, 0.0, 0), std::tuple(9, 1.0, 9), std::tuple(0, 0.5, 0)}) {
    auto found = keptRows(rows, p);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].rows, kept);
    EXPECT_EQ(found[0].probability, 1);
  }
}
