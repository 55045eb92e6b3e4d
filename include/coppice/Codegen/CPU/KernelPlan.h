//===- KernelPlan.h - how one kernel will be compiled for the CPU ---------===//
//
// Choosing is done here, once; emission (`codegen-cpu-kernels`) only reads what
// was chosen. A kernel is a tensor-level function as `exec-form-dispatches`
// makes it: inputs, then one destination per result, with the sizes of dynamic
// arguments named by `exec.dims`. Its plan is
//
//   - variants: the first whose guard is above 0 for a step's sizes runs. Each
//     has one or more stages, run one after the other over the same arguments,
//     each with
//       - a configuration: a strategy and its tile sizes;
//       - the grid: the number of work items, over the program's symbols;
//     and the size of a workspace, memory of the variant's own that its stages
//     get as one more, last argument (split-KV partials);
//   - the packing of each argument, common to all variants, set on the argument
//     as `exec.packing`.
//
// The instruction set is not known here: one plan, and one packing of weights,
// serves the code for all of them.
//
// `exec-select-kernels` gives each stage a copy of the function, with its
// configuration as `exec.config` and the workspace as `exec.workspace`.
//
// | strategy    | one work item                                              |
// |-------------|------------------------------------------------------------|
// | "gemm"      | `rows` rows by one weight panel, `panel` columns wide       |
// | "attention" | `rows` rows and one KV head, with all heads that share it   |
// | "attention_split" | one row and a chunk of its positions; then            |
// | "attention_merge" | one row and one KV head, all chunks of it | | "rotary"
// | one row                                                    | | "loops" |
// `tile` rows of the result, producers fused                  | | "plain"     |
// the oracle: `tile` rows, scalar f32, no reassociation       |
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_CODEGEN_CPU_KERNELPLAN_H
#define COPPICE_CODEGEN_CPU_KERNELPLAN_H

#include "coppice/Codegen/CPU/GemmCandidates.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AffineMap.h"
#include <functional>

namespace coppice {

struct PlanOptions {
  /// Plan the oracle's plain loops, whatever the kernel holds.
  bool oracle = false;
  /// What was measured to be best for a class of products and a bucket of row
  /// counts; where it gives nothing, or is empty, the cost model chooses.
  std::function<std::optional<GemmConfig>(const GemmClass &, const RowBucket &)>
      tuned = nullptr;
};

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

  /// One stage that always runs, nothing packed.
  static KernelPlan always(mlir::func::FuncOp kernel, exec::ConfigAttr config,
                           mlir::AffineMap grid);
};

/// Decides how `kernel` is compiled. Fails with a diagnostic at the operation
/// that no strategy takes.
mlir::FailureOr<KernelPlan> planKernel(mlir::func::FuncOp kernel,
                                       const PlanOptions &options);

/// Writes a stage and the packings onto the function that is its kernel.
void applyPlan(mlir::func::FuncOp kernel, const KernelPlan &plan,
               const KernelVariant &variant, const KernelStage &stage);

/// The type that a `[N, K]` weight has once packed; `type` itself if `packing`
/// is null. A planned function keeps the logical types of its weights and says
/// `exec.packing` on their arguments.
mlir::RankedTensorType packedType(mlir::RankedTensorType type,
                                  exec::PackingAttr packing);

} // namespace coppice

#endif // COPPICE_CODEGEN_CPU_KERNELPLAN_H
