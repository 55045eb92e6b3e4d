//===- SelectedWeights.h - vectors of N:M weights ---------------*- C++ -*-===//
//
// One step of a panel of N:M weights in memory (runtime/base/nm_layout.h), as
// vectors of columns: what was kept, and where in its group along K each was.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_SELECTEDWEIGHTS_H
#define COPPICE_LIB_CODEGEN_CPU_SELECTEDWEIGHTS_H

#include "KernelBuilder.h"
#include "runtime/base/nm_layout.h"

namespace coppice::cpu {

class SelectedWeights : KernelBuilder {
public:
  /// Of `weights`, elements of type `weight` (halves as i16) seen as one axis,
  /// the step that begins at `first`. Vector 0 begins at column `column` of the
  /// panel, a multiple of `lanes`.
  SelectedWeights(mlir::ImplicitLocOpBuilder &b, const KernelShell &shell,
                  const rt::NMLayout &layout, mlir::Type weight, int64_t panel,
                  int64_t lanes, Value weights, Value first, Value column);

  /// Kept elements that are loaded at a time: a pair of bf16 is a word.
  int64_t loaded() const { return weight.isBF16() ? 2 : 1; }
  /// Kept element `j`, or the pair that it begins, of vector `v`.
  Value load(int64_t j, int64_t v);
  /// Element `part` of what was loaded, as f32.
  Value widen(Value loaded, int64_t part);
  /// Element `part` of what was loaded, its bits in the low bits of i32.
  Value bitsOf(Value loaded, int64_t part);

  /// All positions of vector `v`, as i32: those of kept element 0 lowest.
  Value positions(int64_t v);
  /// Of `positions`, those of kept element `j`, with others above them.
  Value positionOf(Value positions, int64_t j);

  /// `vector` as often as it takes for all lanes.
  Value repeat(Value vector);
  Value constant(uint32_t value);

private:
  const rt::NMLayout &layout;
  mlir::Type weight;
  int64_t panel, lanes;
  Value weights, first, column;
  mlir::VectorType floats, words;
};

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_SELECTEDWEIGHTS_H
