//===- compiled_gemm.cpp - one GEMM kernel, compiled and loaded -----------===//

#include "benchmarks/peers/compiled_gemm.h"

#include "coppice/Codegen/CPU/KernelPlan.h"
#include "coppice/Codegen/CPU/Passes.h"
#include "coppice/Target/EmitCPU.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
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

  LogicalResult select(const GemmClass &gemm, const CPUTarget &target);
  LogicalResult build(const GemmClass &gemm, const CPUTarget &target);
  LogicalResult load(const CPUTarget &target);

  std::vector<Stage> stages(int64_t rows) const override {
    return {{kernel, evaluate(plan.grid, rows)}};
  }
  rt::DType inputType() const override { return input; }
  rt::Packing packing() const override {
    exec::PackingAttr packing = plan.packings[1];
    return packing ? rt::Packing{packing.getPanels(), packing.getDepth()}
                   : rt::Packing{};
  }
  std::string config(int64_t) const override {
    return formatv("{0}", Attribute(plan.config));
  }

  MLIRContext &getContext() { return context; }

private:
  int64_t evaluate(AffineMap map, int64_t rows) const {
    SmallVector<Attribute> values, results;
    Builder builder(map.getContext());
    for (unsigned i = 0; i < exec::numSymbols; ++i)
      values.push_back(builder.getI64IntegerAttr(rows));
    (void)map.constantFold(values, results);
    return cast<IntegerAttr>(results.front()).getInt();
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
  Kernel kernel = nullptr;
};

/// Plans the kernel that reads inputs of type `inputType()`.
LogicalResult LoadedGemm::select(const GemmClass &gemm,
                                 const CPUTarget &target) {
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
  FailureOr<KernelPlan> planned = planKernel(function, {false, target});
  if (failed(planned))
    return failure();
  plan = *std::move(planned);
  function->setAttr(exec::configAttrName, plan.config);
  for (auto [index, packing] : llvm::enumerate(plan.packings))
    if (packing)
      function.setArgAttr(index, exec::packingAttrName, packing);
  return success();
}

/// Plans and lowers the kernel.
LogicalResult LoadedGemm::build(const GemmClass &gemm,
                                const CPUTarget &target) {
  // Inputs as narrow as the weight, where there is a kernel for that.
  input = gemm.dtype;
  if (failed(select(gemm, target)))
    return failure();
  if (plan.config.getStrategy() != "gemm") {
    input = rt::DType::F32;
    if (failed(select(gemm, target)))
      return failure();
  }
  PassManager manager(&context);
  buildCodegenCPUPipeline(manager);
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
  if (library)
    kernel = reinterpret_cast<Kernel>(dlsym(library, "gemm"));
  return kernel ? success() : module->emitError("cannot load the kernel");
}

} // namespace

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
