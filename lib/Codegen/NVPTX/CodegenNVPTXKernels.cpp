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
    using Emit = LogicalResult (*)(func::FuncOp);
    static const std::pair<StringRef, Emit> strategies[] = {
        {nvptx::kGemm, nvptx::emitGemm},
        {nvptx::kMerge, nvptx::emitMerge},
        {nvptx::kDots, nvptx::emitDots},
        {nvptx::kAttention, nvptx::emitAttention},
        {nvptx::kAttentionMma, nvptx::emitAttention},
        {nvptx::kAttentionSplit, nvptx::emitAttention},
        {nvptx::kAttentionMerge, nvptx::emitAttention},
        {nvptx::kNorm, nvptx::emitNorm},
        {nvptx::kRows, nvptx::emitRows},
        {nvptx::kRotary, nvptx::emitRotary},
        {nvptx::kScoreBlocks, nvptx::emitScoreBlocks},
        {nvptx::kSelectBlocks, nvptx::emitSelectBlocks},
        {nvptx::kCompact, nvptx::emitCompact},
        {nvptx::kElementwise, nvptx::emitElementwise},
    };
    StringRef strategy = getStrategy(kernel);
    if (strategy.empty())
      return kernel.emitError()
             << "expected a kernel with '" << exec::configAttrName
             << "'; 'exec-select-kernels' plans kernels";
    if (strategy == nvptx::kLoops)
      return nvptx::emitLoops(kernel,
                              [&](OpPassManager &pipeline, Operation *op) {
                                return runPipeline(pipeline, op);
                              });
    std::string known;
    for (auto [name, emit] : strategies) {
      if (name == strategy)
        return emit(kernel);
      known += ("\"" + name + "\", ").str();
    }
    return kernel.emitError() << "expected a strategy of a GPU (" << known
                              << "\"loops\"), found \"" << strategy << "\"";
  }
};

} // namespace
} // namespace coppice
