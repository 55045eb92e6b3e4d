//===- KernelPlan.h - how one kernel will be compiled -----------*- C++ -*-===//
//
// Choosing is done by a target's `planKernel`, once; emission only reads what
// was chosen. A kernel is a tensor-level function as `exec-form-dispatches`
// makes it: inputs, then one destination per result, with the sizes of dynamic
// arguments named by `exec.dims`. Its plan is
//
//   - variants: the first whose guard is above 0 for a step's sizes runs. Each
//     has one or more stages, run one after the other over the same arguments,
//     each with
//       - a configuration: a strategy and its parameters;
//       - the grid: the number of work items, over the program's symbols;
//     and the size of a workspace, memory of the variant's own that its stages
//     get as one more, last argument (split-KV partials);
//   - the packing of each argument, common to all variants, set on the argument
//     as `exec.packing`.
//
// `exec-select-kernels` gives each stage a copy of the function, with its
// configuration as `exec.config`, its grid as `exec.grid` and the workspace as
// `exec.workspace`.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_CODEGEN_KERNELPLAN_H
#define COPPICE_CODEGEN_KERNELPLAN_H

#include "coppice/Dialect/Exec/IR/Exec.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AffineMap.h"

namespace coppice {

/// Maps are `()[rows, head_rows, slots, context, attended, cached] -> (one)`.
struct KernelStage {
  exec::ConfigAttr config;
  mlir::AffineMap grid; // work items
  /// What tells the stage's kernel from the others of the plan: it is named
  /// KERNEL_SUFFIX. Empty: KERNEL. Two stages of one suffix are one kernel and
  /// must have one configuration.
  std::string suffix;
};

struct KernelVariant {
  /// Runs where this is above 0; null: always. The last variant has none.
  mlir::AffineMap guard;
  llvm::SmallVector<KernelStage, 1> stages;
  /// Bytes; null: none. Evaluated at a session's capacities for the memory that
  /// is set aside, so it should be no larger than the guard lets it be.
  mlir::AffineMap workspace;
};

struct KernelPlan {
  llvm::SmallVector<KernelVariant, 1> variants;
  /// One per function argument: the packing of a weight, or null for an
  /// argument that is read as it is.
  llvm::SmallVector<exec::PackingAttr> packings;
  /// Kernels count their work items themselves, and so get `exec.grid`; then
  /// stages of one suffix must have one grid, too.
  bool countsItems = false;

  /// One stage that always runs, nothing packed.
  static KernelPlan always(mlir::func::FuncOp kernel, exec::ConfigAttr config,
                           mlir::AffineMap grid);
};

/// Writes a stage and the packings onto the function that is its kernel.
void applyPlan(mlir::func::FuncOp kernel, const KernelPlan &plan,
               const KernelVariant &variant, const KernelStage &stage);

/// The type that a `[N, K]` weight has once packed; `type` itself if `packing`
/// is null. A planned function keeps the logical types of its weights and says
/// `exec.packing` on their arguments.
mlir::RankedTensorType packedType(mlir::RankedTensorType type,
                                  exec::PackingAttr packing);

/// The op whose results are those of `kernel`, if it has type OpT and needs
/// nothing but arguments.
template <typename OpT> OpT getOnlyOp(mlir::func::FuncOp kernel) {
  mlir::Operation *end = kernel.front().getTerminator();
  if (end->getNumOperands() == 0)
    return {};
  auto op = end->getOperand(0).getDefiningOp<OpT>();
  bool isAll =
      op && mlir::ValueRange(end->getOperands()) == op->getResults() &&
      llvm::all_of(op->getOperands(), llvm::IsaPred<mlir::BlockArgument>);
  return isAll ? op : OpT();
}

/// A configuration of `strategy` with integer parameters, in this order.
exec::ConfigAttr
makeConfig(mlir::MLIRContext *context, llvm::StringRef strategy,
           llvm::ArrayRef<std::pair<llvm::StringRef, int64_t>> parameters);

/// The strategy of the configuration of `kernel`; empty if it has none.
llvm::StringRef getStrategy(mlir::func::FuncOp kernel);

/// Parameter `name` of the configuration of `kernel`; reports if it is missing.
mlir::FailureOr<int64_t> getParameter(mlir::func::FuncOp kernel,
                                      llvm::StringRef name);

/// A map over the program's symbols with `result` as its only result.
mlir::AffineMap makeGrid(mlir::AffineExpr result);

/// The extent of dimension `dim` of argument `arg` of `kernel`.
mlir::FailureOr<mlir::AffineExpr> getArgumentExtent(mlir::func::FuncOp kernel,
                                                    unsigned arg, unsigned dim);

/// Which symbol dimension `dim` of argument `arg` of `kernel` is: an index into
/// `exec::getSymbolNames()`. Reports and fails where `exec.dims` does not say.
mlir::FailureOr<unsigned> getArgumentSymbol(mlir::func::FuncOp kernel,
                                            unsigned arg, unsigned dim);

/// How argument `arg` is packed, from `exec.packing`; null if it is not.
exec::PackingAttr getArgumentPacking(mlir::func::FuncOp kernel, unsigned arg);

} // namespace coppice

#endif // COPPICE_CODEGEN_KERNELPLAN_H
