//===- Strategies.h - the ways to emit a kernel for a GPU -------*- C++ -*-===//
//
// Each strategy is one file (or a few) with two functions: `plan` decides for a
// kernel that it can take, `emit` fills the shell of the planned kernel
// (KernelShell.h) with scf, arith, math, vector, LLVM and NVVM ops, and reads
// nothing but the configuration.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_STRATEGIES_H
#define COPPICE_LIB_CODEGEN_NVPTX_STRATEGIES_H

#include "coppice/Codegen/NVPTX/PlanKernel.h"
#include "coppice/Codegen/TiledLoops.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Pass/PassManager.h"

namespace coppice::nvptx {

/// The names of the strategies, as in `exec.config`.
inline constexpr llvm::StringLiteral kDots = "dots";
inline constexpr llvm::StringLiteral kGemm = "gemm";
inline constexpr llvm::StringLiteral kGemm2of4 = "gemm_2of4";
inline constexpr llvm::StringLiteral kMerge = "gemm_merge";
inline constexpr llvm::StringLiteral kCompact = "compact";
inline constexpr llvm::StringLiteral kNorm = "norm";
inline constexpr llvm::StringLiteral kRows = "rows";
inline constexpr llvm::StringLiteral kRotary = "rotary";
inline constexpr llvm::StringLiteral kElementwise = "elementwise";
inline constexpr llvm::StringLiteral kScoreBlocks = "score_blocks";
inline constexpr llvm::StringLiteral kSelectBlocks = "select_blocks";
inline constexpr llvm::StringLiteral kAttention = "attention";
inline constexpr llvm::StringLiteral kAttentionMma = "attention_mma";
inline constexpr llvm::StringLiteral kAttentionSplit = "attention_split";
inline constexpr llvm::StringLiteral kAttentionMerge = "attention_merge";
inline constexpr llvm::StringLiteral kLoops = "loops";

/// What `plan` gives: nothing for a kernel that the strategy does not take.
using PlanOrNone = std::optional<mlir::FailureOr<KernelPlan>>;

/// One stage that always runs; kernels of a GPU count their work items.
KernelPlan planAlways(mlir::func::FuncOp kernel, exec::ConfigAttr config,
                      mlir::AffineMap grid);

PlanOrNone planGemm(mlir::func::FuncOp kernel, const PlanOptions &options);
mlir::LogicalResult emitGemm(mlir::func::FuncOp kernel);

/// The stage behind "gemm" or "gemm_2of4" whose sums are in parts of K.
KernelStage planMerge(mlir::func::FuncOp kernel, prune::GemmOp gemm,
                      mlir::AffineExpr rows, int64_t splits);
mlir::LogicalResult emitMerge(mlir::func::FuncOp kernel);

/// A variant of "dots" for at most so many rows.
KernelVariant planDotsOf(mlir::func::FuncOp kernel, prune::GemmOp gemm,
                         mlir::AffineExpr extent, int64_t rows);
PlanOrNone planDots(mlir::func::FuncOp kernel);
mlir::LogicalResult emitDots(mlir::func::FuncOp kernel);

PlanOrNone planCompact(mlir::func::FuncOp kernel);
mlir::LogicalResult emitCompact(mlir::func::FuncOp kernel);

PlanOrNone planNorm(mlir::func::FuncOp kernel);
mlir::LogicalResult emitNorm(mlir::func::FuncOp kernel);

PlanOrNone planRows(mlir::func::FuncOp kernel);
mlir::LogicalResult emitRows(mlir::func::FuncOp kernel);

PlanOrNone planRotary(mlir::func::FuncOp kernel);
mlir::LogicalResult emitRotary(mlir::func::FuncOp kernel);

PlanOrNone planSelectBlocks(mlir::func::FuncOp kernel);
mlir::LogicalResult emitSelectBlocks(mlir::func::FuncOp kernel);
/// Of the first stage of a plan of `planSelectBlocks`.
mlir::LogicalResult emitScoreBlocks(mlir::func::FuncOp kernel);

PlanOrNone planElementwise(mlir::func::FuncOp kernel);
mlir::LogicalResult emitElementwise(mlir::func::FuncOp kernel);

PlanOrNone planAttention(mlir::func::FuncOp kernel);
mlir::LogicalResult emitAttention(mlir::func::FuncOp kernel);

/// Takes everything.
mlir::FailureOr<KernelPlan> planLoops(mlir::func::FuncOp kernel);
mlir::LogicalResult emitLoops(mlir::func::FuncOp kernel,
                              PipelineRunner runPipeline);

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_STRATEGIES_H
