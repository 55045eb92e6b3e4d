//===- CodegenNVPTXKernels.cpp - emit the planned kernels for a GPU -------===//

#include "Strategies.h"
#include "coppice/Codegen/NVPTX/Passes.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Linalg/Transforms/TilingInterfaceImpl.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/IR/TensorTilingInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"

using namespace mlir;

namespace coppice {

#define GEN_PASS_DEF_CODEGENNVPTXKERNELS
#include "coppice/Codegen/NVPTX/Passes.h.inc"

void registerCodegenNVPTXDialects(DialectRegistry &registry) {
  registry.insert<affine::AffineDialect, arith::ArithDialect,
                  bufferization::BufferizationDialect, decoder::DecoderDialect,
                  exec::ExecDialect, func::FuncDialect, linalg::LinalgDialect,
                  LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect,
                  NVVM::NVVMDialect, prune::PruneDialect, scf::SCFDialect,
                  tensor::TensorDialect, vector::VectorDialect>();
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  bufferization::func_ext::registerBufferizableOpInterfaceExternalModels(
      registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerTilingInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerTilingInterfaceExternalModels(registry);
}

namespace {

struct CodegenNVPTXKernels
    : impl::CodegenNVPTXKernelsBase<CodegenNVPTXKernels> {
  using CodegenNVPTXKernelsBase::CodegenNVPTXKernelsBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    registerCodegenNVPTXDialects(registry);
  }

  void runOnOperation() override {
    for (func::FuncOp kernel :
         llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (failed(emit(kernel)))
        return signalPassFailure();
  }

  LogicalResult emit(func::FuncOp kernel) {
    StringRef strategy = getStrategy(kernel);
    if (strategy.empty())
      return kernel.emitError()
             << "expected a kernel with '" << exec::configAttrName
             << "'; 'exec-select-kernels' plans kernels";
    if (strategy == nvptx::kDots)
      return nvptx::emitDots(kernel);
    if (strategy == nvptx::kCompact)
      return nvptx::emitCompact(kernel);
    if (strategy == nvptx::kNorm)
      return nvptx::emitNorm(kernel);
    if (strategy == nvptx::kRows)
      return nvptx::emitRows(kernel);
    if (strategy == nvptx::kRotary)
      return nvptx::emitRotary(kernel);
    if (strategy == nvptx::kScoreBlocks)
      return nvptx::emitScoreBlocks(kernel);
    if (strategy == nvptx::kSelectBlocks)
      return nvptx::emitSelectBlocks(kernel);
    if (strategy == nvptx::kElementwise)
      return nvptx::emitElementwise(kernel);
    if (strategy == nvptx::kLoops)
      return nvptx::emitLoops(kernel,
                              [&](OpPassManager &pipeline, Operation *op) {
                                return runPipeline(pipeline, op);
                              });
    return kernel.emitError()
           << "expected a strategy \"dots\", \"compact\", \"norm\", \"rows\", "
              "\"rotary\", \"score_blocks\", \"select_blocks\", "
              "\"elementwise\" or \"loops\", "
              "found \""
           << strategy << "\"";
  }
};

} // namespace
} // namespace coppice
