// How far rows of numbers are from those of a reference, and how far they may
// be.
#ifndef COPPICE_RUNTIME_VERIFY_ROW_ERROR_H
#define COPPICE_RUNTIME_VERIFY_ROW_ERROR_H

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace coppice::rt {

/// Rows of numbers, [rows, width].
struct Table {
  std::vector<float> data;
  int64_t rows = 0, width = 0;

  void assign(const float *from, int64_t newRows, int64_t newWidth);
};

/// Is this element [row, column] undefined?
using IsUndefined = std::function<bool(int64_t, int64_t)>;

/// Largest relative row error of `fast` [rows, columns.size() or oracleWidth]
/// against `oracle` [rows, oracleWidth], of which `columns` (empty: all) are
/// compared. A few kept columns may all be near zero by chance, and their
/// rounding errors are those of their whole row; so a row counts as no smaller
/// than its share of the whole row's norm, and no row as smaller than
/// `smallest`. Elements of `fast` that are undefined are left out.
double rowError(std::span<const float> fast, const float *oracle, int64_t rows,
                int64_t oracleWidth, std::span<const int64_t> columns = {},
                const IsUndefined &isUndefined = nullptr, double smallest = 0);

/// Tolerance on ||e||/||ref|| per row by the model's storage type: 1e-4 for
/// f32; 2e-2 for f16, where a cache entry may round the other way; 3e-2 for
/// bf16, where attention also rounds the weights of its sums, by up to 2^-9
/// each. What a program stores in bf16 its oracle rounds as well (compile
/// --round-like).
double verifyTolerance(std::string_view dtype);

} // namespace coppice::rt

#endif
