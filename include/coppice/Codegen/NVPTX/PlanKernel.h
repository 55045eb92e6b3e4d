//===- PlanKernel.h - how one kernel will be compiled for a GPU -----------===//
//
// A GPU's choices (Codegen/KernelPlan.h says what a plan is). Every
// configuration has `threads`, those of a block; a work item is done by one
// block.
//
// Kernels are for sm_80: chips that follow run them, too. Weights are read as
// they are, row by row, unless a plan says `packing`.
//
// | strategy     | one work item                                             |
// |--------------|-----------------------------------------------------------|
// | "gemm"       | a tile of a product of f16 or bf16, by tensor cores; or   |
// |              | its sums over a part of K, to the workspace               |
// | "gemm_merge" | elements of a product of "gemm" whose parts it adds up    |
// | "dots"       | a few rows of as many columns of a product as the block   |
// |              | has warps, or fewer that warps share                      |
// | "compact"    | one list of rows                                          |
// | "loops"      | as many tiles of the result as the block has threads: any |
// |              | kernel, a thread a tile                                   |
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_CODEGEN_NVPTX_PLANKERNEL_H
#define COPPICE_CODEGEN_NVPTX_PLANKERNEL_H

#include "coppice/Codegen/KernelPlan.h"
#include "coppice/Codegen/NVPTX/GemmConfig.h"

namespace coppice::nvptx {

struct PlanOptions {
  /// How products of f16 and bf16 are blocked, whatever their shape: for tests
  /// and tuners. Nothing: as is predicted to be best.
  std::optional<GemmConfig> gemm;
};

/// Decides how `kernel` is compiled. Fails with a diagnostic at the operation
/// that no strategy takes.
mlir::FailureOr<KernelPlan> planKernel(mlir::func::FuncOp kernel,
                                       const PlanOptions &options = {});

} // namespace coppice::nvptx

#endif // COPPICE_CODEGEN_NVPTX_PLANKERNEL_H
