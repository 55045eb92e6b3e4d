//===- compiled_gemm.cpp - one GEMM kernel, compiled and loaded -----------===//

#include "benchmarks/peers/compiled_gemm.h"

#include "coppice/Codegen/CPU/Passes.h"
#include "coppice/Codegen/CPU/PlanKernel.h"
#include "coppice/Target/EmitCPU.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "runtime/cpu/cpu_features.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include <dlfcn.h>

using namespace mlir;
using llvm::formatv;

namespace coppice::bench {
namespace {

class LoadedGemm : public CompiledGemm {
public:
  ~LoadedGemm() override {
    if (library)
      dlclose(library);
  }

  LogicalResult select(const GemmClass &gemm);
  LogicalResult build(const GemmClass &gemm, const CPUTarget &target);
  LogicalResult load(const CPUTarget &target);

  Variant variantFor(int64_t rows) const override;
  rt::DType inputType() const override { return input; }
  rt::Packing packing() const override {
    exec::PackingAttr packing = plan.packings[1];
    return packing ? rt::Packing{packing.getPanels(), packing.getDepth()}
                   : rt::Packing{};
  }

  MLIRContext &getContext() { return context; }

private:
  static std::string nameOf(size_t variant, size_t stage) {
    return formatv("gemm_{0}_{1}", variant, stage);
  }
  static DialectRegistry &registry() {
    static DialectRegistry registry = [] {
      DialectRegistry made;
      registerCodegenCPUDialects(made);
      return made;
    }();
    return registry;
  }

  MLIRContext context{registry()};
  OwningOpRef<ModuleOp> module;
  KernelPlan plan;
  rt::DType input = rt::DType::F32;
  void *library = nullptr;
};

/// The value of `map` for a step of `rows` rows.
int64_t evaluate(AffineMap map, int64_t rows) {
  SmallVector<Attribute> values, results;
  Builder builder(map.getContext());
  for (StringRef symbol : exec::getSymbolNames())
    values.push_back(
        builder.getI64IntegerAttr(symbol.ends_with("rows") ? rows : 1));
  (void)map.constantFold(values, results);
  return cast<IntegerAttr>(results.front()).getInt();
}

CompiledGemm::Variant LoadedGemm::variantFor(int64_t rows) const {
  Variant result;
  for (auto [index, variant] : llvm::enumerate(plan.variants)) {
    if (variant.guard && evaluate(variant.guard, rows) <= 0)
      continue;
    for (auto [at, stage] : llvm::enumerate(variant.stages)) {
      result.stages.push_back(
          {reinterpret_cast<Kernel>(dlsym(library, nameOf(index, at).c_str())),
           evaluate(stage.grid, rows)});
      result.config +=
          (at ? "; " : "") + formatv("{0}", Attribute(stage.config)).str();
    }
    if (variant.workspace)
      result.workspaceBytes = evaluate(variant.workspace, rows);
    break;
  }
  return result;
}

/// Plans a kernel that reads inputs of type `inputType()`: a function a stage.
LogicalResult LoadedGemm::select(const GemmClass &gemm) {
  std::string source = formatv(
      R"(
    func.func @gemm(%x: tensor<?x{1}x{2}> {{exec.dims = ["rows", {1}]}, %w: tensor<{0}x{1}x{3}>,
                    %out: tensor<?x{0}xf32> {{exec.dims = ["rows", {0}]}) -> tensor<?x{0}xf32> {{
      %c = prune.gemm "gemm" %x, %w : tensor<?x{1}x{2}>, tensor<{0}x{1}x{3}> -> tensor<?x{0}xf32>
      return %c : tensor<?x{0}xf32>
    })",
      gemm.n, gemm.k, rt::nameOf(input), rt::nameOf(gemm.dtype));
  module = parseSourceString<ModuleOp>(source, ParserConfig(&context));
  if (!module)
    return failure();
  auto function = *module->getOps<func::FuncOp>().begin();
  FailureOr<KernelPlan> planned = cpu::planKernel(function, {});
  if (failed(planned))
    return failure();
  plan = *std::move(planned);
  OpBuilder builder(function);
  for (auto [index, variant] : llvm::enumerate(plan.variants))
    for (auto [at, stage] : llvm::enumerate(variant.stages)) {
      auto copy = cast<func::FuncOp>(builder.clone(*function));
      copy.setName(nameOf(index, at));
      applyPlan(copy, plan, variant, stage);
    }
  function.erase();
  return success();
}

/// Plans and lowers the kernel.
LogicalResult LoadedGemm::build(const GemmClass &gemm,
                                const CPUTarget &target) {
  // Inputs as narrow as the weight, where there is a kernel for that.
  input = gemm.dtype;
  if (failed(select(gemm)))
    return failure();
  if (plan.variants[0].stages[0].config.getStrategy() != "gemm") {
    input = rt::DType::F32;
    if (failed(select(gemm)))
      return failure();
  }
  PassManager manager(&context);
  buildCodegenCPUPipeline(manager, target);
  return manager.run(*module);
}

LogicalResult LoadedGemm::load(const CPUTarget &target) {
  SmallString<128> path;
  if (std::error_code code =
          llvm::sys::fs::createTemporaryFile("coppice-gemm", "so", path))
    return module->emitError("cannot make a temporary file (TMPDIR says "
                             "where): ")
           << code.message();
  CPUTargetOptions options;
  options.target = target;
  FailureOr<EmittedTarget> emitted = emitCPU(*module, path, options);
  if (succeeded(emitted))
    library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  llvm::sys::fs::remove(path);
  if (failed(emitted))
    return failure();
  return library ? success() : module->emitError("cannot load the kernel");
}

} // namespace

rt::Result<std::string> isaFor(const std::string &name, rt::DType dtype) {
  std::string message;
  FailureOr<CPUTarget> target = CPUTarget::parse(name, message);
  if (failed(target))
    return rt::invalidArgument(message);
  if (dtype != rt::DType::BF16 && target->roundsToBF16())
    target->isa = CPUTarget::ISA::AVX512;
  if (target->isa == CPUTarget::ISA::AMX_BF16 && !rt::hasCpuFeature("amx_bf16"))
    return rt::unsupported("the system does not let this process use AMX");
  return target->name().str();
}

rt::Result<std::unique_ptr<CompiledGemm>>
CompiledGemm::compile(const GemmClass &gemm) {
  std::string message;
  FailureOr<CPUTarget> target = CPUTarget::parse(gemm.isa, message);
  if (failed(target))
    return rt::invalidArgument(message);
  auto loaded = std::make_unique<LoadedGemm>();
  ScopedDiagnosticHandler handler(
      &loaded->getContext(),
      [&](Diagnostic &diagnostic) { message += diagnostic.str() + "; "; });
  if (failed(loaded->build(gemm, *target)) || failed(loaded->load(*target)))
    return rt::internalError(formatv(
        "compiling a GEMM kernel of [{0}, {1}]: {2}", gemm.n, gemm.k, message));
  return std::unique_ptr<CompiledGemm>(std::move(loaded));
}

} // namespace coppice::bench
