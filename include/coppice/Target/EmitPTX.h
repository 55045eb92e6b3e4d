//===- EmitPTX.h - kernels in the LLVM and NVVM dialects to PTX -*- C++ -*-===//
//
// In: a module of `llvm.func` kernels with `nvvm.kernel`.
// Out: PTX text that refers to nothing outside itself.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_TARGET_EMITPTX_H
#define COPPICE_TARGET_EMITPTX_H

#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace coppice {

struct PTXOptions {
  /// "sm_80", "sm_90a", .. PTX of a chip with a letter runs on that chip only.
  std::string chip = "sm_80";
  /// Of LLVM, such as "+ptx83"; empty for the oldest PTX that has all of the
  /// chip: 7.1 for sm_80.
  std::string features;
  /// Where the optimised LLVM IR is also written, for inspection; may be empty.
  std::string dumpLLVM;
};

/// What `emitPTX` would otherwise do to the context first; needed once before
/// it runs in several threads.
void prepareEmitPTX(mlir::MLIRContext &context);

/// Translates `kernels` for a chip; needs no CUDA toolkit. An unknown chip, an
/// op that the chip does not have, a function that PTX would leave unresolved
/// (`__nv_expf`, ..) and code that LLVM cannot select are errors at `kernels`
/// or at the op. May run in several threads, on one module each.
mlir::FailureOr<std::string> emitPTX(mlir::ModuleOp kernels,
                                     const PTXOptions &options);

} // namespace coppice

#endif // COPPICE_TARGET_EMITPTX_H
