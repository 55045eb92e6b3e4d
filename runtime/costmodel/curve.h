// How near kernels of one class come to what the machine typically does, by the
// rows that they work on and, for products, by their depth.
//
//   time = (time at typical rates) / fraction(rows, depth) + fixed(rows)
//
// A curve is a few points. Between them 1 / fraction and fixed are linear in
// the logarithms of depth and rows; beyond them they stay as they are.
#ifndef COPPICE_RUNTIME_COSTMODEL_CURVE_H
#define COPPICE_RUNTIME_COSTMODEL_CURVE_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

/// What a class of kernels is. In a curve, an empty string or 0 threads stands
/// for any.
struct CurveKey {
  std::string kind;       ///< of dispatch: "gemm"
  std::string arithmetic; ///< "f32", "bf16"
  std::string storage;    ///< of weights or KV cache: "f32", "f16", "bf16"
  std::string isa;
  int threads = 0;

  bool operator==(const CurveKey &) const = default;
};

struct CurvePoint {
  int64_t rows = 1;
  int64_t depth = 0; ///< 0: of any depth
  double fraction = 1;
  double fixedSeconds = 0; ///< -1: the machine's dispatch time
};

struct Curve {
  CurveKey key;
  std::string origin;             ///< "assumed: ..", "measured: .."
  std::vector<CurvePoint> points; ///< at least one; ascending (rows, depth)
  /// The compiler of the code that was measured; empty: not known.
  std::string producer = {};

  /// `fraction` and `fixedSeconds` at a place.
  CurvePoint at(int64_t rows, int64_t depth) const;
  bool isAssumed() const { return origin.starts_with("assumed"); }
};

/// How well a curve of key `have` serves for `wanted`; negative: not at all. A
/// match of kind counts more than one of arithmetic, storage, ISA and threads,
/// in this order.
int matchScore(const CurveKey &have, const CurveKey &wanted);

/// Round figures for vectorised code, to start from while nothing has been
/// measured.
std::vector<Curve> assumedCurves();

} // namespace coppice::rt

#endif
