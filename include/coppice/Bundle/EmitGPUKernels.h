// All planned kernels in, one file of code for a GPU out.
#ifndef COPPICE_BUNDLE_EMITGPUKERNELS_H
#define COPPICE_BUNDLE_EMITGPUKERNELS_H

#include "coppice/Bundle/ProgramJson.h"
#include "coppice/Target/GPUTarget.h"
#include "mlir/IR/BuiltinOps.h"

namespace coppice {

/// Writes `kernels.cuda.CHIP.ptx` (and, where there is a ptxas, a `.cubin`
/// before it), or `kernels.emu.CHIP.mlir`, which is what the emulator executes,
/// to `directory` for each of `gpus`, and describes the files. `kernels` are
/// planned for GPUs, and stay as they are.
mlir::LogicalResult emitGPUKernels(mlir::ModuleOp kernels,
                                   llvm::ArrayRef<GPUTarget> gpus,
                                   llvm::StringRef directory,
                                   std::vector<BundleTarget> &targets);

} // namespace coppice

#endif // COPPICE_BUNDLE_EMITGPUKERNELS_H
