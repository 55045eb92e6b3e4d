//===- PlanKernel.h - how one kernel will be compiled for a GPU -----------===//
//
// A GPU's choices (Codegen/KernelPlan.h says what a plan is). Every
// configuration has `threads`, those of a block; a work item is done by one
// block.
//
// Kernels are for sm_80: chips that follow run them, too. Weights are read as
// they are, row by row, unless a plan says `packing`.
//
// | strategy        | one work item                                          |
// |-----------------|--------------------------------------------------------|
// | "dots"          | as many elements of a product as the block has warps   |
// | "compact"       | one list of rows                                       |
// | "norm"          | rows or heads, `lanes` threads to each                 |
// | "rows"          | as many accesses (16 bytes) of rows that are moved as  |
// |                 | the block has threads: lookups, cache updates, gathers |
// |                 | and projections                                        |
// | "rotary"        | as many accesses of half a head as there are threads   |
// | "score_blocks"  | `blocks` of what one row and one KV head choose from,  |
// |                 | into the workspace                                     |
// | "select_blocks" | the lists of blocks of one row and one KV head, and of |
// |                 | the rows that choose with it                           |
// | "elementwise"   | as many accesses of the results as there are threads   |
// | "loops"         | as many tiles of the result as the block has threads:  |
// |                 | any kernel, a thread a tile                            |
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
