//===- KernelShell.h - the ABI of GPU kernels around a body -----*- C++ -*-===//
//
// In: a planned tensor-level kernel function. Out: an empty function that a
// grid of blocks runs,
//
//   kernel(arg0, .., argN-1, [workspace,] symbols)
//
// all of them pointers to memory of the device: the function's arguments in
// order, row-major and without gaps, then the workspace (f32) if the plan has
// one, then the sizes of the step, one i64 for each of exec::getSymbolNames().
// So nothing but memory changes from step to step, and a step can be captured
// in a CUDA graph.
//
// Any grid is right: block `b` of `g` does the work items b, b + g, .. A grid
// is as large as there are work items at the most.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_KERNELSHELL_H
#define COPPICE_LIB_CODEGEN_NVPTX_KERNELSHELL_H

#include "coppice/Codegen/KernelPlan.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace coppice::nvptx {

/// Numbers are i32 unless they are said to be something else.
struct KernelShell {
  mlir::func::FuncOp function;
  int64_t threads;                          // of a block
  llvm::SmallVector<mlir::Value> arguments; // !llvm.ptr<1>
  mlir::Value workspace;                    // !llvm.ptr<1>, or null
  llvm::SmallVector<mlir::Value> symbols;   // of the step
  mlir::Value items;                        // work items
  mlir::func::FuncOp kernel;                // that the shell is of

  /// The size of dimension `dim` of an argument of the tensor-level kernel.
  mlir::Value extentOf(mlir::ImplicitLocOpBuilder &b, mlir::Value tensor,
                       unsigned dim) const;
  /// Writes down how much shared memory a block needs.
  void setSharedBytes(int64_t bytes);
  /// Says that a processor should hold so many blocks at once, which is how
  /// many registers a thread may have. Without it ptxas guesses, and spills a
  /// register or two to fit one block more.
  void setResidentBlocks(int64_t blocks);
};

/// Creates the shell of `kernel` just before it, of the same name, and leaves
/// `builder` at the end of its body, before the return. The number of threads
/// is that of the configuration.
mlir::FailureOr<KernelShell>
createKernelShell(mlir::ImplicitLocOpBuilder &builder,
                  mlir::func::FuncOp kernel);

/// Dynamic shared memory of the module's kernels, !llvm.ptr<3>: 1024 bytes
/// aligned where the driver allows it, 16 always.
mlir::Value getSharedMemory(mlir::ImplicitLocOpBuilder &builder,
                            mlir::func::FuncOp function);

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_KERNELSHELL_H
