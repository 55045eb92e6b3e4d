//===- Strategies.h - the ways to emit a kernel -----------------*- C++ -*-===//
//
// Each strategy is one file with two functions: `plan` decides for a kernel
// that it can take, `emit` replaces the planned kernel by a function with the
// bundle's kernel signature (see KernelShell.h), built of scf, arith, math,
// vector and memref ops, and reads nothing but the configuration.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_STRATEGIES_H
#define COPPICE_LIB_CODEGEN_CPU_STRATEGIES_H

#include "coppice/Codegen/CPU/PlanKernel.h"
#include "coppice/Codegen/TiledLoops.h"
#include "coppice/Target/CPUTarget.h"
#include "mlir/Pass/PassManager.h"

namespace coppice::cpu {

/// The names of the strategies, as in `exec.config`.
inline constexpr llvm::StringLiteral kGemm = "gemm";
inline constexpr llvm::StringLiteral kAttention = "attention";
inline constexpr llvm::StringLiteral kAttentionSplit = "attention_split";
inline constexpr llvm::StringLiteral kAttentionMerge = "attention_merge";
inline constexpr llvm::StringLiteral kRotary = "rotary";
inline constexpr llvm::StringLiteral kRows = "rows";
inline constexpr llvm::StringLiteral kCompact = "compact";
inline constexpr llvm::StringLiteral kSelectBlocks = "select_blocks";
inline constexpr llvm::StringLiteral kLoops = "loops";
inline constexpr llvm::StringLiteral kPlain = "plain";

/// How many rows, of which `bytes` bytes each are read and written, are worth
/// handing to another thread.
inline int64_t rowsOfItem(int64_t bytes) {
  constexpr int64_t kBytesOfItem = 128 * 1024;
  return std::max<int64_t>(1, kBytesOfItem / bytes);
}

// Each `plan` returns nothing for a kernel that the strategy does not take.

std::optional<mlir::FailureOr<KernelPlan>> planGemm(mlir::func::FuncOp kernel,
                                                    const PlanOptions &options);
mlir::FailureOr<mlir::func::FuncOp> emitGemm(mlir::func::FuncOp kernel,
                                             const CPUTarget &target);

std::optional<mlir::FailureOr<KernelPlan>>
planCompact(mlir::func::FuncOp kernel);
mlir::FailureOr<mlir::func::FuncOp> emitCompact(mlir::func::FuncOp kernel);

std::optional<mlir::FailureOr<KernelPlan>>
planSelectBlocks(mlir::func::FuncOp kernel);
mlir::FailureOr<mlir::func::FuncOp> emitSelectBlocks(mlir::func::FuncOp kernel,
                                                     const CPUTarget &target);

std::optional<mlir::FailureOr<KernelPlan>>
planAttention(mlir::func::FuncOp kernel);
mlir::FailureOr<mlir::func::FuncOp> emitAttention(mlir::func::FuncOp kernel,
                                                  const CPUTarget &target);

std::optional<mlir::FailureOr<KernelPlan>>
planRotary(mlir::func::FuncOp kernel);
mlir::FailureOr<mlir::func::FuncOp> emitRotary(mlir::func::FuncOp kernel,
                                               const CPUTarget &target);

std::optional<mlir::FailureOr<KernelPlan>> planRows(mlir::func::FuncOp kernel);
mlir::FailureOr<mlir::func::FuncOp> emitRows(mlir::func::FuncOp kernel,
                                             const CPUTarget &target);

/// Takes everything; `strategy` is `kLoops` or `kPlain`.
mlir::FailureOr<KernelPlan> planLoops(mlir::func::FuncOp kernel,
                                      llvm::StringRef strategy);
mlir::FailureOr<mlir::func::FuncOp> emitLoops(mlir::func::FuncOp kernel,
                                              PipelineRunner runPipeline);

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_STRATEGIES_H
