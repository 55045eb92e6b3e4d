//===- KernelPlan.h - how one kernel will be compiled for the CPU -*- C++ -*-===//
//
// Choosing is done here, once; emission (`codegen-cpu-kernels`) only reads what
// was chosen. A kernel is a tensor-level function as `exec-form-dispatches`
// makes it: inputs, then one destination per result, with the sizes of dynamic
// arguments named by `exec.dims`. Its plan is
//
//   - a configuration, set on the function as `exec.config`: a dictionary with
//     a `strategy` and that strategy's tile sizes;
//   - the grid: the number of work items, over the program's symbols;
//   - the packing of each argument, where a constant weight should be packed.
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

#include "coppice/Target/CPUTarget.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AffineMap.h"

namespace coppice {

/// The symbols that sizes are expressions of, in the order of the kernel ABI
/// and of every `affine_map<()[...] -> (...)>` of the `exec` dialect.
inline constexpr llvm::StringLiteral kSymbolNames[] = {
    "rows", "head_rows", "slots", "context", "attended", "cached"};

struct PlanOptions {
  /// Plan the oracle's plain loops, whatever the kernel holds.
  bool oracle = false;
  CPUTarget target;
};

struct KernelPlan {
  /// Goes onto the function as `exec.config`.
  mlir::DictionaryAttr config;
  /// `()[rows, head_rows, slots, context, attended, cached] -> (items)`.
  mlir::AffineMap grid;
  /// One per function argument: the panel width P of a weight that the kernel
  /// wants as `[ceil(N/P), K, P]`, or 0 for an argument that is read as it is.
  llvm::SmallVector<int64_t> panels;
};

/// Decides how `kernel` is compiled. Fails with a diagnostic at the operation
/// that no strategy takes.
mlir::FailureOr<KernelPlan> planKernel(mlir::func::FuncOp kernel,
                                       const PlanOptions &options);

/// The type that a `[N, K]` weight has after packing into panels of `panel`:
/// `[ceil(N/panel), K, panel]`, or `type` itself if `panel` is 0. A planned
/// function may keep the logical type of a weight argument and say
/// `exec.panels = P : i64` on it, or have the packed type.
mlir::RankedTensorType packedType(mlir::RankedTensorType type, int64_t panel);

/// The name of the function attribute that holds the configuration.
inline constexpr llvm::StringLiteral kConfigAttrName = "exec.config";
/// The name of the argument attribute that names dynamic extents: an array
/// with one entry a dimension, a symbol's name or an integer.
inline constexpr llvm::StringLiteral kDimsAttrName = "exec.dims";
/// The name of the argument attribute that gives a weight's panel width.
inline constexpr llvm::StringLiteral kPanelsAttrName = "exec.panels";

} // namespace coppice

#endif // COPPICE_CODEGEN_CPU_KERNELPLAN_H
