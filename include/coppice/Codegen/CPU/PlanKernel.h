//===- PlanKernel.h - how one kernel will be compiled for the CPU ---------===//
//
// The CPU's choices (Codegen/KernelPlan.h says what a plan is). The instruction
// set is not known here: one plan, and one packing of weights, serves the code
// for all of them.
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

#ifndef COPPICE_CODEGEN_CPU_PLANKERNEL_H
#define COPPICE_CODEGEN_CPU_PLANKERNEL_H

#include "coppice/Codegen/CPU/GemmCandidates.h"
#include "coppice/Codegen/KernelPlan.h"
#include <functional>

namespace coppice::cpu {

struct PlanOptions {
  /// Plan the oracle's plain loops, whatever the kernel holds.
  bool oracle = false;
  /// What was measured to be best for a class of products and a bucket of row
  /// counts; where it gives nothing, or is empty, the cost model chooses.
  std::function<std::optional<GemmConfig>(const GemmClass &, const RowBucket &)>
      tuned = nullptr;
};

/// Decides how `kernel` is compiled. Fails with a diagnostic at the operation
/// that no strategy takes.
mlir::FailureOr<KernelPlan> planKernel(mlir::func::FuncOp kernel,
                                       const PlanOptions &options);

} // namespace coppice::cpu

#endif // COPPICE_CODEGEN_CPU_PLANKERNEL_H
