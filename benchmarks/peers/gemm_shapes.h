// The products of the models that the peer bench runs: C[m,n] = A[m,k] W[n,k].
#ifndef COPPICE_BENCHMARKS_PEERS_GEMM_SHAPES_H
#define COPPICE_BENCHMARKS_PEERS_GEMM_SHAPES_H

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace coppice::bench {

/// One weight [n, k] and the GEMMs of a model that have that shape.
struct WeightShape {
  std::string_view model, sites;
  int64_t n, k;
  /// The head sees one row of each sequence only, so it has few rows always.
  bool head = false;
};

std::span<const WeightShape> weightShapes();

/// The row counts that are measured; `--quick` has fewer, of the first model.
inline constexpr int64_t fullRows[] = {1, 4, 16, 128, 512, 2048};
inline constexpr int64_t quickRows[] = {1, 128, 512};
/// Heads are measured up to this many rows.
inline constexpr int64_t mostHeadRows = 16;

} // namespace coppice::bench

#endif
