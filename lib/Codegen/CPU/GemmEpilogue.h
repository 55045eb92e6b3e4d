//===- GemmEpilogue.h - a region of scalars on vectors ----------*- C++ -*-===//
//
// In: vectors of sums, and where they belong in the result. Out: vectors of the
// result's element type: the epilogue's region with each scalar become a
// vector.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_GEMMEPILOGUE_H
#define COPPICE_LIB_CODEGEN_CPU_GEMMEPILOGUE_H

#include "GemmOperands.h"
#include "KernelBuilder.h"
#include "coppice/Target/CPUTarget.h"

namespace coppice::cpu {

class GemmEpilogue : KernelBuilder {
public:
  GemmEpilogue(mlir::ImplicitLocOpBuilder &b, const KernelShell &shell,
               const GemmOperands &gemm, const CPUTarget &target)
      : KernelBuilder(b, shell), gemm(gemm), target(target) {}

  /// One vector of sums a weight, of elements [row, column..] of the result;
  /// `mask` (may be null) says which of them exist. Reports an operation that
  /// has no vector form.
  mlir::FailureOr<Value> emit(mlir::ValueRange sums, Value row, Value column,
                              Value mask);

private:
  Value convert(Value value, mlir::Type element);
  Value loadOfRow(mlir::TypedValue<mlir::MemRefType> memref, mlir::Type element,
                  Value row);

  const GemmOperands &gemm;
  const CPUTarget &target;
};

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_GEMMEPILOGUE_H
