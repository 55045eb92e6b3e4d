//===- CPUKernels.cpp - kernels in a shared object, in a test -------------===//

#include "Kernels.h"
#include "coppice/Codegen/CPU/Passes.h"
#include "coppice/Codegen/CPU/PlanKernel.h"
#include "coppice/Target/EmitCPU.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "gtest/gtest.h"
#include <dlfcn.h>

using namespace mlir;

namespace coppice::test {
namespace {

class CPUKernels : public Kernels {
public:
  LogicalResult load(const std::string &source, bool oracle,
                     const std::string &isa) {
    DialectRegistry registry;
    registerCodegenCPUDialects(registry);
    MLIRContext context(registry);
    OwningOpRef<ModuleOp> module =
        parseSourceString<ModuleOp>(source, ParserConfig(&context));
    std::string error;
    FailureOr<CPUTarget> target = CPUTarget::parse(isa, error);
    if (!module || failed(target) ||
        failed(plan(*module, [&](func::FuncOp kernel) {
          return cpu::planKernel(kernel, {oracle});
        })))
      return failure();
    PassManager manager(&context);
    buildCodegenCPUPipeline(manager, *target);
    if (failed(manager.run(*module)))
      return failure();

    CPUTargetOptions options;
    options.target = *target;
    if (const char *dump = std::getenv("COPPICE_TEST_DUMP_LLVM"))
      options.dumpLLVM = dump;
    SmallString<128> path;
    if (llvm::sys::fs::createTemporaryFile("coppice-test", "so", path))
      return failure();
    FailureOr<EmittedTarget> emitted = emitCPU(*module, path, options);
    if (succeeded(emitted))
      library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    llvm::sys::fs::remove(path);
    return success(library != nullptr);
  }

  ~CPUKernels() override {
    if (library)
      dlclose(library);
  }

private:
  void call(const Kernel &, const Stage &stage,
            const std::vector<const void *> &args, int64_t,
            const Symbols &symbols, int64_t chunk) override {
    int64_t grid = stage.grid(symbols), step = chunk ? chunk : grid;
    for (int64_t end = grid; end > 0; end -= step)
      callItems(stage.symbol, args, symbols, std::max<int64_t>(0, end - step),
                end);
  }

  void callItems(const std::string &symbol,
                 const std::vector<const void *> &args, const Symbols &symbols,
                 int64_t begin, int64_t end) override {
    auto *function =
        reinterpret_cast<void (*)(const void *const *, const int64_t *, int64_t,
                                  int64_t)>(dlsym(library, symbol.c_str()));
    ASSERT_NE(function, nullptr) << symbol;
    function(args.data(), symbols.values().data(), begin, end);
  }

  void *library = nullptr;
};

} // namespace

std::vector<std::string> instructionSets() {
  std::vector<std::string> names{"avx2"};
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    names.push_back("avx512");
  if (__builtin_cpu_supports("avx512bf16"))
    names.push_back("avx512_bf16");
  return names;
}

std::unique_ptr<Kernels> compileForCPU(const std::string &source, bool oracle,
                                       const std::string &isa) {
  auto kernels = std::make_unique<CPUKernels>();
  if (failed(kernels->load(source, oracle, isa)))
    return nullptr;
  return kernels;
}

} // namespace coppice::test
