//===- GemmOperands.h - what a kernel of strategy "gemm" computes -*- C++ -*-=//
//
// One view of the operations that the GEMM builder takes.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_GEMMOPERANDS_H
#define COPPICE_LIB_CODEGEN_CPU_GEMMOPERANDS_H

#include "coppice/Codegen/CPU/GemmCandidates.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace coppice::cpu {

/// All values are arguments of the kernel. The epilogue's block has one
/// argument for the sum of each weight, then one for each extra operand.
struct GemmOperands {
  mlir::Operation *op = nullptr;
  mlir::Value input;
  llvm::SmallVector<mlir::Value, 2> weights;
  mlir::ValueRange extras;
  mlir::Block *epilogue = nullptr; // null: the sum is the result
  mlir::Type result;               // element type

  int64_t n() const;
  int64_t k() const;
  /// How many values along K lie side by side in the packed weights.
  int64_t pack() const;
  GemmClass getClass() const;
  exec::PackingAttr packing(int64_t panel) const;
};

/// The product that `kernel` is, if the strategy can take it.
std::optional<GemmOperands> getGemmOperands(mlir::func::FuncOp kernel);

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_GEMMOPERANDS_H
