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
// | "gemm"          | a tile of a product of f16 or bf16, by tensor cores;   |
// |                 | or its sums over a part of K, to the workspace         |
// | "gemm_2of4"     | the same with a W of which two of four columns of K    |
// |                 | are kept                                               |
// | "gemm_merge"    | elements of a product of both: adds up its parts       |
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
// | "attention"     | a query row by as many query heads as the block has    |
// |                 | warps                                                  |
// | "attention_mma" | a block of query rows and the heads of a KV head, by   |
// |                 | tensor cores                                           |
// | "attention_split" | a row, one or more of its query heads, and a chunk   |
// |                 | of the positions                                       |
// | "attention_merge" | as "attention", from the chunks' results             |
// | "elementwise"   | as many accesses of the results as there are threads   |
// | "loops"         | as many tiles of the result as the block has threads:  |
// |                 | any kernel, a thread a tile                            |
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
