//===- GPUKernels.cpp - kernels in the emulator, in a test ----------------===//
//
// Each launch is one of late, early and random copies in turn, so that a test
// of a few runs has had them all.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"
#include "coppice/Codegen/NVPTX/Passes.h"
#include "coppice/Codegen/NVPTX/PlanKernel.h"
#include "coppice/Emulator/Emulator.h"
#include "coppice/Target/EmitPTX.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "gtest/gtest.h"

using namespace mlir;

namespace coppice::test {
namespace {

class GPUKernels : public Kernels {
public:
  LogicalResult load(const std::string &source,
                     const nvptx::PlanOptions &options) {
    DialectRegistry registry;
    registerCodegenNVPTXDialects(registry);
    context.appendDialectRegistry(registry);
    module = parseSourceString<ModuleOp>(source, ParserConfig(&context));
    if (!module || failed(plan(*module, [&](func::FuncOp kernel) {
          return nvptx::planKernel(kernel, options);
        })))
      return failure();
    PassManager manager(&context);
    buildCodegenNVPTXPipeline(manager);
    if (failed(manager.run(*module)))
      return failure();
    if (std::getenv("COPPICE_TEST_DUMP_LLVM"))
      module->dump();
    return checkPTX();
  }

private:
  /// PTX without a CUDA toolkit; with ptxas at hand, without spills.
  LogicalResult checkPTX() {
    OwningOpRef<ModuleOp> copy = module->clone();
    FailureOr<std::string> ptx = emitPTX(*copy, {});
    if (failed(ptx))
      return failure();
    assembly = *ptx;
    std::optional<std::string> ptxas = findPtxas();
    if (!ptxas)
      return success();
    llvm::Expected<AssembledPTX> assembled = assemblePTX(*ptxas, *ptx, "sm_80");
    if (!assembled) {
      ADD_FAILURE() << llvm::toString(assembled.takeError());
      return failure();
    }
    taken = std::move(assembled->kernels);
    EXPECT_EQ(assembled->warnings, "");
    for (const auto &[name, resources] : taken)
      EXPECT_EQ(resources.spillBytes, 0) << name.str();
    return success();
  }

  void call(const Kernel &kernel, const Stage &stage,
            const std::vector<const void *> &args, int64_t workspaceBytes,
            const Symbols &symbols, int64_t chunk) override {
    int64_t grid = stage.grid(symbols);
    if (grid == 0)
      return;
    FailureOr<std::unique_ptr<Emulator>> emulator = Emulator::create(*module);
    ASSERT_TRUE(succeeded(emulator));
    SmallVector<KernelArgument> arguments;
    for (auto [number, data] : llvm::enumerate(args)) {
      int64_t bytes = workspaceBytes;
      BufferOptions buffer;
      buffer.writable = number + kernel.results >= kernel.arguments.size();
      if (number < kernel.arguments.size()) {
        bytes = kernel.arguments[number].elementBytes;
        for (const Expr &extent : kernel.arguments[number].shape)
          bytes *= extent(symbols);
      }
      arguments.push_back(KernelArgument::pointer(
          (*emulator)->addBuffer("argument " + std::to_string(number),
                                 const_cast<void *>(data), bytes, buffer)));
    }
    std::vector<int64_t> sizes = symbols.values();
    arguments.push_back(KernelArgument::pointer((*emulator)->addBuffer(
        "symbols", sizes.data(), sizes.size() * sizeof(int64_t),
        {true, false, 8})));

    auto function = module->lookupSymbol<LLVM::LLVMFuncOp>(stage.symbol);
    ASSERT_TRUE(function) << stage.symbol;
    auto threads = function->getAttrOfType<DenseI32ArrayAttr>(
        NVVM::NVVMDialect::getReqntidAttrName());
    auto shared = function->getAttrOfType<IntegerAttr>(exec::sharedAttrName);
    EmulatorOptions options;
    options.copies = CopyTime(launches % 3);
    options.seed = launches++;
    llvm::Expected<LaunchReport> report = (*emulator)->launch(
        stage.symbol, {static_cast<uint32_t>(chunk ? chunk : grid), 1, 1},
        {static_cast<uint32_t>(threads[0]), 1, 1}, shared.getInt(), arguments,
        options);
    if (!report)
      FAIL() << llvm::toString(report.takeError());
    EXPECT_TRUE(report->clean()) << report->str();
    EXPECT_EQ(report->matrixBankConflicts, 0u);
  }

  void callItems(const std::string &, const std::vector<const void *> &,
                 const Symbols &, int64_t, int64_t) override {
    FAIL() << "a GPU counts its items itself";
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  unsigned launches = 0;
};

} // namespace

std::unique_ptr<Kernels> compileForGPU(const std::string &source,
                                       const nvptx::PlanOptions &options) {
  auto kernels = std::make_unique<GPUKernels>();
  if (failed(kernels->load(source, options)))
    return nullptr;
  return kernels;
}

} // namespace coppice::test
