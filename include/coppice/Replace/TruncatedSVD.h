// The best approximation of a matrix by one of lower rank.
#ifndef COPPICE_REPLACE_TRUNCATEDSVD_H
#define COPPICE_REPLACE_TRUNCATEDSVD_H

#include <cstdint>
#include <span>
#include <vector>

namespace coppice {

/// `U V`, row by row: u is [rows, rank], v is [rank, columns].
struct Factors {
  std::vector<float> u, v;
};

/// The factors of rank `rank` whose product is nearest to `matrix` [rows,
/// columns], row by row, in the Frobenius norm (Eckart and Young, Psychometrika
/// 1936): singular vectors, each with the root of its singular value, so that
/// both factors lose alike when they are stored. Computed in f64. Where `rank`
/// is above the number of singular values, the rest is zeros. All elements must
/// be finite.
Factors truncatedSVD(std::span<const float> matrix, int64_t rows,
                     int64_t columns, int64_t rank);

} // namespace coppice

#endif // COPPICE_REPLACE_TRUNCATEDSVD_H
