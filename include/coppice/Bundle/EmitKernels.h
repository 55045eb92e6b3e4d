// All planned kernels in, one file of code for each instruction set out.
#ifndef COPPICE_BUNDLE_EMITKERNELS_H
#define COPPICE_BUNDLE_EMITKERNELS_H

#include "coppice/Bundle/ObjectCache.h"
#include "coppice/Bundle/ProgramJson.h"
#include "coppice/Target/CPUTarget.h"
#include "mlir/IR/BuiltinOps.h"

namespace coppice {

struct EmitOptions {
  /// What it has is not compiled again; may be null.
  ObjectCache *objects = nullptr;
  /// See CPUTargetOptions.
  bool unoptimized = false;
};

/// Writes `kernels.cpu.ISA.so` to `directory` for each of `isas`, and describes
/// the files in the same order. Leaves
/// `kernels` as it is.
mlir::LogicalResult emitKernels(mlir::ModuleOp kernels,
                                llvm::ArrayRef<CPUTarget> isas,
                                llvm::StringRef directory,
                                std::vector<BundleTarget> &targets,
                                const EmitOptions &options = {});

} // namespace coppice

#endif // COPPICE_BUNDLE_EMITKERNELS_H
