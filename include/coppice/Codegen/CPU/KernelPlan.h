//===- KernelPlan.h - how one kernel will be compiled for the CPU ---------===//
//
// Choosing is done here, once; emission (`codegen-cpu-kernels`) only reads what
// was chosen. A kernel is a tensor-level function as `exec-form-dispatches`
// makes it: inputs, then one destination per result, with the sizes of dynamic
// arguments named by `exec.dims`. Its plan is
//
//   - a configuration, set on the function as `exec.config`: a strategy and its
//     tile sizes;
//   - the grid: the number of work items, over the program's symbols;
//   - the packing of each argument: how a weight that the kernel reads packed
//     lies in memory, set on the argument as `exec.packing`.
//
// | strategy    | one work item                                              |
// |-------------|------------------------------------------------------------|
// | "gemm"      | `rows` rows by one weight panel, `panel` columns wide       |
// | "attention" | one row and one KV head, with all query heads that share it |
// | "loops"     | `tile` rows of the result, producers fused                  |
// | "plain"     | the oracle: `tile` rows, scalar f32, no reassociation       |
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_CODEGEN_CPU_KERNELPLAN_H
#define COPPICE_CODEGEN_CPU_KERNELPLAN_H

#include "coppice/Dialect/Exec/IR/Exec.h"
#include "coppice/Target/CPUTarget.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AffineMap.h"

namespace coppice {

struct PlanOptions {
  /// Plan the oracle's plain loops, whatever the kernel holds.
  bool oracle = false;
  CPUTarget target;
};

struct KernelPlan {
  /// Goes onto the function as `exec.config`.
  exec::ConfigAttr config;
  /// `()[rows, head_rows, slots, context, attended, cached] -> (items)`.
  mlir::AffineMap grid;
  /// One per function argument: the packing of a weight, or null for an
  /// argument that is read as it is.
  llvm::SmallVector<exec::PackingAttr> packings;
};

/// Decides how `kernel` is compiled. Fails with a diagnostic at the operation
/// that no strategy takes.
mlir::FailureOr<KernelPlan> planKernel(mlir::func::FuncOp kernel,
                                       const PlanOptions &options);

/// The type that a `[N, K]` weight has once packed; `type` itself if `packing`
/// is null. A planned function keeps the logical types of its weights and says
/// `exec.packing` on their arguments.
mlir::RankedTensorType packedType(mlir::RankedTensorType type,
                                  exec::PackingAttr packing);

} // namespace coppice

#endif // COPPICE_CODEGEN_CPU_KERNELPLAN_H
