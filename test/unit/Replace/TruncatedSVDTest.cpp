// The best approximation of lower rank: exact where the rank suffices, and with
// the error that Eckart and Young give where it does not.
#include "coppice/Replace/TruncatedSVD.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

using namespace coppice;

namespace {

using Matrix = std::vector<float>; // row by row

Matrix randomMatrix(int64_t rows, int64_t columns, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Matrix matrix(size_t(rows * columns));
  for (float &x : matrix)
    x = normal(generator);
  return matrix;
}

Matrix multiply(const Matrix &u, const Matrix &v, int64_t rows, int64_t rank,
                int64_t columns) {
  Matrix product(size_t(rows * columns));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (int64_t r = 0; r < rank; ++r)
        sum += double(u[size_t(i * rank + r)]) * v[size_t(r * columns + j)];
      product[size_t(i * columns + j)] = float(sum);
    }
  return product;
}

/// The Frobenius norm of what U V leaves of the matrix.
double errorOf(const Matrix &matrix, int64_t rows, int64_t columns,
               int64_t rank) {
  Factors factors = truncatedSVD(matrix, rows, columns, rank);
  EXPECT_EQ(factors.u.size(), size_t(rows * rank));
  EXPECT_EQ(factors.v.size(), size_t(rank * columns));
  Matrix product = multiply(factors.u, factors.v, rows, rank, columns);
  double sum = 0;
  for (size_t i = 0; i < matrix.size(); ++i)
    sum += std::pow(double(matrix[i]) - product[i], 2);
  return std::sqrt(sum);
}

/// Row i of the orthonormal cosine transform of that length.
double cosine(int64_t length, int64_t i, int64_t at) {
  return std::sqrt((i ? 2.0 : 1.0) / double(length)) *
         std::cos(std::numbers::pi * double(i) * (double(at) + 0.5) /
                  double(length));
}

/// A matrix whose singular values are these.
Matrix withSingularValues(int64_t rows, int64_t columns,
                          const std::vector<double> &values) {
  Matrix matrix(size_t(rows * columns));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (size_t r = 0; r < values.size(); ++r)
        sum += values[r] * cosine(rows, int64_t(r), i) *
               cosine(columns, int64_t(r) + 1, j);
      matrix[size_t(i * columns + j)] = float(sum);
    }
  return matrix;
}

TEST(TruncatedSVD, fullRankIsExact) {
  for (auto [rows, columns] : {std::pair<int64_t, int64_t>{7, 13},
                               {13, 7},
                               {9, 9},
                               {1, 5},
                               {5, 1},
                               {1, 1}}) {
    Matrix matrix = randomMatrix(rows, columns, unsigned(rows * 31 + columns));
    EXPECT_LT(errorOf(matrix, rows, columns, std::min(rows, columns)), 1e-5)
        << rows << " x " << columns;
  }
}

TEST(TruncatedSVD, theErrorIsThatOfTheSingularValuesLeftOut) {
  const std::vector<double> values = {5, 2, 0.5, 0.25};
  for (auto [rows, columns] :
       {std::pair<int64_t, int64_t>{11, 6}, {6, 11}, {8, 8}}) {
    Matrix matrix = withSingularValues(rows, columns, values);
    for (int64_t rank = 1; rank <= 5; ++rank) {
      double rest = 0;
      for (size_t r = size_t(rank); r < values.size(); ++r)
        rest += values[r] * values[r];
      EXPECT_NEAR(errorOf(matrix, rows, columns, rank), std::sqrt(rest), 1e-5)
          << rows << " x " << columns << ", rank " << rank;
    }
  }
}

TEST(TruncatedSVD, aRankAboveThatOfTheMatrixIsExactAndFinite) {
  EXPECT_LT(errorOf(withSingularValues(9, 6, {3, 1}), 9, 6, 6), 1e-5);
  EXPECT_LT(errorOf(randomMatrix(3, 4, 5), 3, 4, 8), 1e-5);
  EXPECT_EQ(errorOf(Matrix(12), 3, 4, 2), 0.0);
  for (float x : truncatedSVD(Matrix(12), 3, 4, 3).u)
    EXPECT_EQ(x, 0.0f);
}

TEST(TruncatedSVD, bothFactorsHaveTheRootOfEachSingularValue) {
  const std::vector<double> values = {9, 4, 1};
  const int64_t rows = 10, columns = 7, rank = 3;
  Factors factors = truncatedSVD(withSingularValues(rows, columns, values),
                                 rows, columns, rank);
  for (int64_t r = 0; r < rank; ++r) {
    double u = 0, v = 0;
    for (int64_t i = 0; i < rows; ++i)
      u += std::pow(factors.u[size_t(i * rank + r)], 2);
    for (int64_t j = 0; j < columns; ++j)
      v += std::pow(factors.v[size_t(r * columns + j)], 2);
    EXPECT_NEAR(u, values[size_t(r)], 1e-4);
    EXPECT_NEAR(v, values[size_t(r)], 1e-4);
  }
}

TEST(TruncatedSVD, nothingHasFactorsOfZeros) {
  Factors factors = truncatedSVD({}, 0, 4, 2);
  EXPECT_TRUE(factors.u.empty());
  EXPECT_EQ(factors.v, Matrix(8));
}

} // namespace
