//===- PlanKernel.h - how one kernel will be compiled for a GPU -----------===//
//
// A GPU's choices (Codegen/KernelPlan.h says what a plan is). Every
// configuration has `threads`, those of a block; a work item is done by one
// block.
//
// Kernels are for sm_80: chips that follow run them, too. Weights are read as
// they are, row by row, unless a plan says `packing`.
//
// | strategy  | one work item                                                |
// |-----------|--------------------------------------------------------------|
// | "dots"    | as many elements of a product as the block has warps         |
// | "compact" | one list of rows                                             |
// | "attention" | a query row by as many query heads as the block has warps |
// | "attention_mma" | a block of query rows and the heads of a KV head        |
// | "attention_split" | a row, one or more of its query heads, and a chunk of |
// |           | the positions                                                |
// | "attention_merge" | as "attention", from the chunks' results              |
// | "loops"   | as many tiles of the result as the block has threads: any    |
// |           | kernel, a thread a tile                                      |
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_CODEGEN_NVPTX_PLANKERNEL_H
#define COPPICE_CODEGEN_NVPTX_PLANKERNEL_H

#include "coppice/Codegen/KernelPlan.h"

namespace coppice::nvptx {

/// Decides how `kernel` is compiled. Fails with a diagnostic at the operation
/// that no strategy takes.
mlir::FailureOr<KernelPlan> planKernel(mlir::func::FuncOp kernel);

} // namespace coppice::nvptx

#endif // COPPICE_CODEGEN_NVPTX_PLANKERNEL_H
