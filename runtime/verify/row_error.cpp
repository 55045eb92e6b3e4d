// See row_error.h.
#include "runtime/verify/row_error.h"

#include <algorithm>
#include <cmath>

namespace coppice::rt {

void Table::assign(const float *from, int64_t newRows, int64_t newWidth) {
  rows = newRows;
  width = newWidth;
  data.assign(from, from + rows * width);
}

double rowError(std::span<const float> fast, const float *oracle, int64_t rows,
                int64_t oracleWidth, std::span<const int64_t> columns,
                const IsUndefined &isUndefined, double smallest) {
  int64_t width = columns.empty() ? oracleWidth : int64_t(columns.size());
  double worst = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const float *expected = oracle + row * oracleWidth;
    double squaredError = 0, squaredNorm = 0, squaredRow = 0;
    for (int64_t i = 0; i < oracleWidth; ++i)
      squaredRow += double(expected[i]) * expected[i];
    int64_t defined = 0;
    for (int64_t i = 0; i < width; ++i) {
      if (isUndefined && isUndefined(row, i))
        continue;
      ++defined;
      double kept = expected[columns.empty() ? i : columns[i]];
      double error = fast[row * width + i] - kept;
      squaredError += error * error;
      squaredNorm += kept * kept;
    }
    squaredNorm = std::max(squaredNorm,
                           squaredRow * double(defined) / double(oracleWidth));
    squaredNorm = std::max(squaredNorm, smallest * smallest);
    double error = squaredNorm > 0 ? std::sqrt(squaredError / squaredNorm)
                                   : std::sqrt(squaredError);
    if (std::isnan(error))
      return error;
    worst = std::max(worst, error);
  }
  return worst;
}

double verifyTolerance(std::string_view dtype) {
  return dtype == "f32" ? 1e-4 : dtype == "bf16" ? 3e-2 : 2e-2;
}

} // namespace coppice::rt
