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

  /// A set that is known at run time only: `size` rows, columns or values along
  /// K to a granule.
  struct Set {
    mlir::Value list, count;
    int64_t size;
  };
  std::optional<Set> rows, panels, groups;
  bool gathersRows = false, scattersRows = false;
  /// Rows have a list for each so many columns, or values along K; else 0.
  int64_t rowsPerPanel = 0, rowsPerGroup = 0;
  /// What the pattern of the weights leaves of each group along K, if there is
  /// a way to keep and multiply no more than that; else they are as dense.
  int64_t kept = 0, of = 0;
  /// Share of the input that is expected to be zero, where a kernel may look
  /// for what is not: no set and no pattern says already what is read of K.
  double inputZeros = 0;

  int64_t n() const;
  int64_t k() const;
  /// The value whose rows are as many as the work has at the most.
  mlir::Value rowsOfWork() const {
    return rows && !rowsPerPanel && !rowsPerGroup ? rows->list : input;
  }
  /// How many values along K lie side by side in the packed weights.
  int64_t pack() const;
  std::optional<rt::NMLayout> getNMLayout(int64_t panel) const;
  GemmClass getClass() const;
  exec::PackingAttr packing(int64_t panel) const;
};

/// The product that `kernel` is, if the strategy can take it.
std::optional<GemmOperands> getGemmOperands(mlir::func::FuncOp kernel);

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_GEMMOPERANDS_H
