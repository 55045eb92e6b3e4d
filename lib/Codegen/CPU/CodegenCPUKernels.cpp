//===- CodegenCPUKernels.cpp - emit the planned kernels of a module -------===//

#include "Strategies.h"
#include "coppice/Codegen/CPU/Passes.h"
#include "coppice/Codegen/KernelDialects.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace coppice {

#define GEN_PASS_DEF_CODEGENCPUKERNELS
#include "coppice/Codegen/CPU/Passes.h.inc"

void registerCodegenCPUDialects(DialectRegistry &registry) {
  registerKernelDialects(registry);
}

namespace {

/// Replaces calls of libm that LLVM could not vectorise. sin, cos and pow stay
/// calls: their polynomials lose accuracy for large arguments.
void approximateMath(func::FuncOp function) {
  static const StringRef names[] = {"math.exp",   "math.expm1", "math.log",
                                    "math.log1p", "math.log2",  "math.tanh",
                                    "math.erf"};
  RewritePatternSet patterns(function.getContext());
  populateMathPolynomialApproximationPatterns(
      patterns, [](StringRef name) { return llvm::is_contained(names, name); });
  (void)applyPatternsGreedily(function, std::move(patterns));
}

struct CodegenCPUKernels : impl::CodegenCPUKernelsBase<CodegenCPUKernels> {
  using CodegenCPUKernelsBase::CodegenCPUKernelsBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    registerCodegenCPUDialects(registry);
  }

  void runOnOperation() override {
    std::string error;
    FailureOr<CPUTarget> parsed = CPUTarget::parse(isa, error);
    if (failed(parsed)) {
      getOperation().emitError(error);
      return signalPassFailure();
    }
    target = *parsed;
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
    FailureOr<func::FuncOp> emitted = failure();
    bool exact = strategy == cpu::kPlain;
    if (strategy == cpu::kGemm) {
      ++numGemm;
      emitted = cpu::emitGemm(kernel, target);
    } else if (strategy == cpu::kAttention ||
               strategy == cpu::kAttentionSplit ||
               strategy == cpu::kAttentionMerge) {
      ++numAttention;
      emitted = cpu::emitAttention(kernel, target);
    } else if (strategy == cpu::kRotary) {
      ++numRotary;
      emitted = cpu::emitRotary(kernel, target);
    } else if (strategy == cpu::kRows) {
      ++numRows;
      emitted = cpu::emitRows(kernel, target);
    } else if (strategy == cpu::kCompact) {
      emitted = cpu::emitCompact(kernel);
    } else if (strategy == cpu::kSelectBlocks) {
      emitted = cpu::emitSelectBlocks(kernel, target);
    } else if (strategy == cpu::kLoops || exact) {
      ++numLoops;
      emitted =
          cpu::emitLoops(kernel, [&](OpPassManager &pipeline, Operation *op) {
            return runPipeline(pipeline, op);
          });
    } else {
      return kernel.emitError()
             << "expected a strategy \"gemm\", \"attention\", "
                "\"attention_split\", "
                "\"attention_merge\", \"rotary\", \"rows\", \"compact\", "
                "\"select_blocks\", \"loops\" or "
                "\"plain\", "
                "found \""
             << strategy << "\"";
    }
    if (succeeded(emitted) && !exact)
      approximateMath(*emitted);
    return emitted;
  }

  CPUTarget target;
};

} // namespace
} // namespace coppice
