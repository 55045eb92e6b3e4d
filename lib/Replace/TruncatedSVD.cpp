// Eigen's divide-and-conquer SVD, of a matrix with at least as many rows as
// columns. It runs on one thread: whoever has many weights factors several at a
// time.
#include "coppice/Replace/TruncatedSVD.h"

#include <Eigen/SVD>

#include <algorithm>
#include <cmath>

using namespace coppice;

namespace {
using RowMajor =
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
} // namespace

Factors coppice::truncatedSVD(std::span<const float> matrix, int64_t rows,
                              int64_t columns, int64_t rank) {
  Factors factors;
  factors.u.assign(static_cast<size_t>(rows * rank), 0.0f);
  factors.v.assign(static_cast<size_t>(rank * columns), 0.0f);
  if (rows == 0 || columns == 0 || rank == 0)
    return factors;
  Eigen::Map<const RowMajor> source(matrix.data(), rows, columns);
  bool isWide = columns > rows;
  Eigen::MatrixXd tall =
      isWide ? Eigen::MatrixXd(source.transpose().cast<double>())
             : Eigen::MatrixXd(source.cast<double>());
  Eigen::BDCSVD<Eigen::MatrixXd> svd(tall,
                                     Eigen::ComputeThinU | Eigen::ComputeThinV);
  int64_t used = std::min({rank, rows, columns});
  Eigen::VectorXd roots = svd.singularValues().head(used).cwiseSqrt();
  Eigen::MatrixXd left = svd.matrixU().leftCols(used) * roots.asDiagonal(),
                  right = svd.matrixV().leftCols(used) * roots.asDiagonal();
  if (isWide)
    std::swap(left, right);
  Eigen::Map<RowMajor> u(factors.u.data(), rows, rank),
      v(factors.v.data(), rank, columns);
  u.leftCols(used) = left.cast<float>();
  v.topRows(used) = right.transpose().cast<float>();
  return factors;
}
