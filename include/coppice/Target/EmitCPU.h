//===- EmitCPU.h - kernels in the LLVM dialect to a shared object ---------===//
//
// In: a module of `llvm.func` kernels (the output of `codegen-cpu`).
// Out: an ELF shared object that imports nothing but libm.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_TARGET_EMITCPU_H
#define COPPICE_TARGET_EMITCPU_H

#include "coppice/Target/CPUTarget.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallString.h"

namespace coppice {

struct CPUTargetOptions {
  CPUTarget target;
  /// The linker to run; empty picks the first of ld.lld-22, ld.lld, ld in PATH.
  std::string linker;
  /// Code as it comes, compiled in a fraction of the time and slow: for checks
  /// of many programs, not of kernels.
  bool unoptimized = false;
  /// Where the optimised LLVM IR is also written, for inspection; may be empty.
  std::string dumpLLVM;
};

/// What the bundle records of an emitted file.
struct EmittedTarget {
  std::string sha256;                 // of the file's bytes, lower-case hex
  uint64_t bytes = 0;                 // size of the file
  std::vector<std::string> requires_; // CPU features, as in /proc/cpuinfo
};

/// What `compileObject` would otherwise do to the context first; needed once
/// before it runs in several threads.
void prepareEmitCPU(mlir::MLIRContext &context);

/// An ELF object file.
using ObjectCode = llvm::SmallString<0>;

/// Compiles `kernels` (already in the LLVM dialect) for `options.target`. May
/// run in several threads, on one module each.
mlir::FailureOr<ObjectCode> compileObject(mlir::ModuleOp kernels,
                                          const CPUTargetOptions &options);

/// Links objects of kernels for `options.target` and writes a shared object to
/// `path`. Errors are reported at `kernels` and leave no file behind.
mlir::FailureOr<EmittedTarget> linkCPU(mlir::ModuleOp kernels,
                                       llvm::ArrayRef<ObjectCode> objects,
                                       llvm::StringRef path,
                                       const CPUTargetOptions &options);

/// Both in one. Compiles `kernels` (already in the LLVM dialect) for
/// `options.target` and writes a shared object to `path`. Errors are reported
/// at the module and leave no file behind.
mlir::FailureOr<EmittedTarget> emitCPU(mlir::ModuleOp kernels,
                                       llvm::StringRef path,
                                       const CPUTargetOptions &options);

} // namespace coppice

#endif // COPPICE_TARGET_EMITCPU_H
