//===- CodegenNVPTXKernels.cpp - emit the planned kernels for a GPU -------===//

#include "Strategies.h"
#include "coppice/Codegen/KernelDialects.h"
#include "coppice/Codegen/NVPTX/Passes.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;

namespace coppice {

#define GEN_PASS_DEF_CODEGENNVPTXKERNELS
#include "coppice/Codegen/NVPTX/Passes.h.inc"

void registerCodegenNVPTXDialects(DialectRegistry &registry) {
  registerKernelDialects(registry);
  registry.insert<NVVM::NVVMDialect>();
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
        {nvptx::kGemm2of4, nvptx::emitGemm},
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
