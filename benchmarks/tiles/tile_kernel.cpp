#include "benchmarks/tiles/tile_kernel.h"

#include "coppice/Codegen/CPU/LoadedGemm.h"
#include "coppice/Codegen/NVPTX/Passes.h"
#include "coppice/Codegen/NVPTX/PlanKernel.h"
#include "coppice/Target/EmitPTX.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;

namespace coppice::bench {

static FailureOr<std::string> emitTile(MLIRContext &context,
                                       const nvptx::GemmConfig &config) {
  GemmSpec spec{.n = 4096, .k = 4096, .input = "bf16", .weight = "bf16"};
  spec.epilogue = GemmSpec::Epilogue::Residual;
  spec.rows = GemmSpec::Rows::Both;
  if (config.twoOfFour) {
    spec.kept = 2;
    spec.of = 4;
  }
  auto module = parseSourceString<ModuleOp>(spec.getSource("product"),
                                            ParserConfig(&context));
  if (!module)
    return failure();
  auto kernel = cast<func::FuncOp>(module->lookupSymbol("product"));
  nvptx::PlanOptions options;
  options.gemm = config;
  FailureOr<KernelPlan> plan = nvptx::planKernel(kernel, options);
  if (failed(plan))
    return failure();
  const KernelVariant &variant = plan->variants.front();
  applyPlan(kernel, *plan, variant, variant.stages.front());
  PassManager manager(&context);
  buildCodegenNVPTXPipeline(manager);
  if (failed(manager.run(*module)))
    return failure();
  return emitPTX(*module, {});
}

std::optional<KernelResources> compileTile(const nvptx::GemmConfig &config,
                                           StringRef ptxas) {
  DialectRegistry registry;
  registerCodegenNVPTXDialects(registry);
  MLIRContext context(registry);
  FailureOr<std::string> ptx = emitTile(context, config);
  if (failed(ptx))
    return std::nullopt;
  llvm::Expected<AssembledPTX> assembled = assemblePTX(ptxas, *ptx, "sm_80");
  if (!assembled) {
    llvm::errs() << "error: " << llvm::toString(assembled.takeError()) << "\n";
    return std::nullopt;
  }
  if (!assembled->warnings.empty()) {
    llvm::errs() << "error: ptxas: " << assembled->warnings << "\n";
    return std::nullopt;
  }
  auto kernel = assembled->kernels.begin();
  if (kernel == assembled->kernels.end() || kernel->second.registers <= 0) {
    llvm::errs() << "error: expected ptxas to say how many registers a kernel "
                    "takes, found no such line\n";
    return std::nullopt;
  }
  return kernel->second;
}

} // namespace coppice::bench
