//===- Pipeline.cpp - planned kernels to the LLVM dialect -----------------===//

#include "coppice/Codegen/CPU/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/Transforms/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace coppice {

namespace {
struct PipelineOptions : PassPipelineOptions<PipelineOptions> {
  Option<std::string> isa{
      *this, "isa",
      llvm::cl::desc(
          "Instruction set: host, avx2, avx512, avx512_bf16 or amx_bf16"),
      llvm::cl::init("avx512")};
};
} // namespace

static void buildPipeline(OpPassManager &manager, StringRef isa) {
  manager.addPass(createCodegenCPUKernels({isa.str()}));
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createLoopInvariantCodeMotionPass());

  // Conversions of bf16 as integer operations: LLVM would call a library.
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = true;
  manager.addPass(arith::createArithExpandOpsPass(expand));

  manager.addPass(createConvertVectorToSCFPass());
  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createConvertMathToLibmPass());
  manager.addPass(createConvertVectorToLLVMPass());
  manager.addPass(createFinalizeMemRefToLLVMConversionPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createConvertIndexToLLVMPass());
  manager.addPass(createConvertFuncToLLVMPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createUBToLLVMConversionPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void buildCodegenCPUPipeline(OpPassManager &manager, const CPUTarget &target) {
  buildPipeline(manager, target.name());
}

void registerCodegenCPUPipelines() {
  PassPipelineRegistration<PipelineOptions>(
      "codegen-cpu",
      "Lower a module of planned kernels to the LLVM dialect, for x86-64",
      [](OpPassManager &manager, const PipelineOptions &options) {
        buildPipeline(manager, options.isa);
      });
}

} // namespace coppice
