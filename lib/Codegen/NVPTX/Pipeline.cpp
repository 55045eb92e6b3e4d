//===- Pipeline.cpp - planned kernels to the LLVM and NVVM dialects -------===//

#include "coppice/Codegen/NVPTX/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace coppice {

void buildCodegenNVPTXPipeline(OpPassManager &manager) {
  manager.addPass(createCodegenNVPTXKernels());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createLoopInvariantCodeMotionPass());
  manager.addPass(createNVPTXApproximateMath());

  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createConvertVectorToLLVMPass());
  manager.addPass(createFinalizeMemRefToLLVMConversionPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createConvertIndexToLLVMPass());
  manager.addPass(createConvertFuncToLLVMPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createUBToLLVMConversionPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
  manager.addPass(createNVPTXMarkKernels());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void registerCodegenNVPTXPipelines() {
  PassPipelineRegistration<>(
      "codegen-nvptx",
      "Lower a module of planned kernels to the LLVM and NVVM dialects, for "
      "NVIDIA GPUs",
      buildCodegenNVPTXPipeline);
}

} // namespace coppice
