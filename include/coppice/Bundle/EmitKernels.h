// All planned kernels in, one file of code for each instruction set out.
#ifndef COPPICE_BUNDLE_EMITKERNELS_H
#define COPPICE_BUNDLE_EMITKERNELS_H

#include "coppice/Bundle/ProgramJson.h"
#include "coppice/Target/CPUTarget.h"
#include "mlir/IR/BuiltinOps.h"

namespace coppice {

/// Writes `kernels.cpu.ISA.so` to `directory` for each of `isas`, and describes
/// the files in the same order. Leaves `kernels` as it is.
mlir::LogicalResult emitKernels(mlir::ModuleOp kernels,
                                llvm::ArrayRef<CPUTarget> isas,
                                llvm::StringRef directory,
                                std::vector<BundleTarget> &targets);

} // namespace coppice

#endif // COPPICE_BUNDLE_EMITKERNELS_H
