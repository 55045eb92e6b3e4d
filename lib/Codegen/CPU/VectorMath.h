//===- VectorMath.h - arithmetic on whole vector registers ------*- C++ -*-===//
//
// What builders need beyond `arith`: products of pairs of bf16, powers of two,
// maxima, sums over the lanes of a register, transposition. Values are vectors
// that fill one register (or half of one, for 16 bf16).
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_VECTORMATH_H
#define COPPICE_LIB_CODEGEN_CPU_VECTORMATH_H

#include "coppice/Target/CPUTarget.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace coppice {

class VectorMath {
public:
  VectorMath(mlir::ImplicitLocOpBuilder &b, const CPUTarget &target)
      : b(b), target(target) {}

  int64_t lanes() const { return target.lanes(); }
  /// Vector registers that the instruction set has.
  int64_t registers() const { return lanes() == 16 ? 32 : 16; }
  /// Are there products of pairs of bf16?
  bool hasPairProducts() const;

  mlir::VectorType f32s() const;

  /// sums[i] + a[2i] * b[2i] + a[2i+1] * b[2i+1]; a and b are bf16, or i16 that
  /// hold bf16. Needs `hasPairProducts`.
  mlir::Value addPairProducts(mlir::Value sums, mlir::Value lhs,
                              mlir::Value rhs);

  /// Narrows f32 to bf16, to nearest even. Needs `target.roundsToBF16()`.
  mlir::Value toBF16(mlir::Value value);

  /// Widens or narrows, to nearest even, in as few instructions as there are.
  mlir::Value convert(mlir::Value value, mlir::Type element);

  /// The greater of each pair of lanes, as one instruction: `rhs` where one of
  /// them is NaN.
  mlir::Value maximum(mlir::Value lhs, mlir::Value rhs);

  /// 2^x in f32, for x up to 127. NaN stays NaN; below -126 it may be 0 or
  /// 2^-126. The relative error is below 1e-7, or below 3e-6 where `coarse`.
  mlir::Value exp2(mlir::Value x, bool coarse);

  /// The maximum, or the sum, of all lanes, in all lanes. The order is that of
  /// a tree, the same in every lane.
  mlir::Value maximumOfLanes(mlir::Value value);
  mlir::Value sumOfLanes(mlir::Value value);

  /// Turns as many vectors as each has lanes into their transposition.
  llvm::SmallVector<mlir::Value> transpose(llvm::ArrayRef<mlir::Value> rows);

private:
  mlir::Value call(mlir::Type type, llvm::StringRef intrinsic,
                   mlir::ValueRange args);
  mlir::Value constant(double value, mlir::VectorType type);
  mlir::Value
  foldLanes(mlir::Value value,
            llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> combine);

  mlir::ImplicitLocOpBuilder &b;
  CPUTarget target;
};

} // namespace coppice

#endif // COPPICE_LIB_CODEGEN_CPU_VECTORMATH_H
