//===- TiledLoops.h - any kernel, as loops ----------------------*- C++ -*-===//
//
// In: a kernel of any tensor operations. Out: scalar loops over tiles of its
// result. This is the catch-all that makes every model compile, on every
// target; exactly as written, it is the oracle.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_CODEGEN_TILEDLOOPS_H
#define COPPICE_CODEGEN_TILEDLOOPS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AffineExpr.h"

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace coppice {

/// Runs a pipeline on an op inside the one that a pass works on.
using PipelineRunner = llvm::function_ref<mlir::LogicalResult(
    mlir::OpPassManager &, mlir::Operation *)>;

/// What the tiles of a kernel are cut from.
struct TiledWork {
  mlir::AffineExpr extent; // over the program's symbols
  bool isVector;           // of single elements, not of rows
};

struct TiledLoopsOptions {
  /// One operation after the other, as written. Else elementwise chains are
  /// fused, sums may be reassociated and products contracted.
  bool exact = false;
  /// Temporaries of a tile that may live on a thread's stack.
  int64_t temporaryBytes = 256 * 1024;
};

/// Where the loops go: at the end of a block that has a terminator.
struct TiledLoopsShell {
  mlir::Block *body;
  llvm::SmallVector<mlir::Value> arguments; // memrefs
  mlir::Value begin, end;                   // the tiles to compute; index
};
using TiledLoopsShellMaker =
    llvm::function_ref<mlir::FailureOr<TiledLoopsShell>()>;

/// Replaces what has a decomposition by linalg, and fuses elementwise ops.
mlir::LogicalResult decomposeAndFuse(mlir::func::FuncOp function);

/// Fails with a diagnostic where a kernel cannot be cut into tiles.
mlir::FailureOr<TiledWork> findTiledWork(mlir::func::FuncOp kernel, bool exact);

/// Fills a shell with the loops of `kernel`, tiles of the configuration's
/// `tile` rows or elements, and erases the kernel. The shell is made last, so
/// that nothing is left of a kernel that cannot be emitted.
mlir::LogicalResult emitTiledLoops(mlir::func::FuncOp kernel,
                                   const TiledLoopsOptions &options,
                                   PipelineRunner runPipeline,
                                   TiledLoopsShellMaker makeShell);

} // namespace coppice

#endif // COPPICE_CODEGEN_TILEDLOOPS_H
