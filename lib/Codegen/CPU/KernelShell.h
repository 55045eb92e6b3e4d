//===- KernelShell.h - the kernel ABI around a kernel's body ----*- C++ -*-===//
//
// In: a planned tensor-level kernel function. Out: an empty function with the
// bundle's kernel signature,
//
//   void kernel(void *const *args, const int64_t *symbols,
//               int64_t begin, int64_t end)
//
// and, for the builders that fill it, one memref a argument and the bounds of
// the work items. Sizes of memrefs are constants or loaded symbols; packed
// weights have their packed shape. A workspace (`exec.workspace`), which comes
// behind the function's arguments, is f32.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_KERNELSHELL_H
#define COPPICE_LIB_CODEGEN_CPU_KERNELSHELL_H

#include "coppice/Dialect/Exec/IR/Exec.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace coppice {

struct KernelShell {
  mlir::func::FuncOp function;
  llvm::SmallVector<mlir::TypedValue<mlir::MemRefType>> arguments;
  mlir::TypedValue<mlir::MemRefType> workspace; // memref<?xf32>, or null
  mlir::Value begin, end;                       // index
};

/// Creates the shell of `kernel` just before it, of the same name, and leaves
/// `builder` at the end of its body, before the return. With `halvesAsBits`,
/// memory of f16 and bf16 is given as i16 (VectorAccess.h says why).
mlir::FailureOr<KernelShell> createKernelShell(mlir::OpBuilder &builder,
                                               mlir::func::FuncOp kernel,
                                               bool halvesAsBits);

} // namespace coppice

#endif // COPPICE_LIB_CODEGEN_CPU_KERNELSHELL_H
