//===- ProductEpilogue.h - the region of a product on a number --*- C++ -*-===//
//
// In: a sum of a `prune.gemm`, and where it belongs in the result. Out: the
// element of the result: the epilogue's region, with its further operands
// loaded.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_PRODUCTEPILOGUE_H
#define COPPICE_LIB_CODEGEN_NVPTX_PRODUCTEPILOGUE_H

#include "KernelBuilder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

namespace coppice::nvptx {

class ProductEpilogue : KernelBuilder {
public:
  ProductEpilogue(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
                  prune::GemmOp gemm)
      : KernelBuilder(b, shell), gemm(gemm) {}

  /// A value of the result's element type. The row and the column must be
  /// inside the result: what is read there is read.
  mlir::FailureOr<Value> emit(Value sum, Value row, Value column) {
    return apply(sum, load(row, column, 1).front());
  }

  // The same in two steps, so that the operands of many elements are loaded
  // before the first of them is waited for, which stores would else forbid.

  /// What the region reads besides the sum.
  using Operands = llvm::SmallVector<Value>;
  /// Of `width` neighbouring columns, in one load where they are two: then
  /// `column` is even, and so is the number of columns.
  llvm::SmallVector<Operands> load(Value row, Value column, int64_t width);
  mlir::FailureOr<Value> apply(Value sum, llvm::ArrayRef<Value> operands);

private:
  prune::GemmOp gemm;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_PRODUCTEPILOGUE_H
