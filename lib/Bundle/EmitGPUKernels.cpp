//===- EmitGPUKernels.cpp - planned kernels to code for GPUs --------------===//
// In: a module of kernels that are planned for GPUs. Out: for each target a
// file of all kernels. Kernels are lowered side by side, each in a module of
// its own, and then put into one, in their order; from there on a GPU and the
// emulator get the same ops. Only that module's text is what the emulator
// reads, PTX what a driver translates.
//===----------------------------------------------------------------------===//
#include "coppice/Bundle/EmitGPUKernels.h"

#include "coppice/Codegen/NVPTX/Passes.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "coppice/Target/EmitPTX.h"
#include "runtime/base/atomic_file.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Threading.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

using namespace mlir;
using namespace coppice;

/// Threads may not load dialects: what they need is there before they start.
static void prepareContext(MLIRContext &context) {
  prepareEmitPTX(context);
  PassManager codegen(&context);
  buildCodegenNVPTXPipeline(codegen);
  DialectRegistry registry;
  codegen.getDependentDialects(registry);
  context.appendDialectRegistry(registry);
  for (StringRef name : registry.getDialectNames())
    context.getOrLoadDialect(name);
}

static FailureOr<OwningOpRef<ModuleOp>> lowerKernel(func::FuncOp kernel) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  module->getBody()->push_back(kernel->clone());
  PassManager codegen(kernel.getContext());
  buildCodegenNVPTXPipeline(codegen);
  if (failed(codegen.run(*module)))
    return failure();
  return module;
}

/// All kernels in the LLVM and NVVM dialects, with the memory that they name.
static FailureOr<OwningOpRef<ModuleOp>> lowerKernels(ModuleOp kernels) {
  auto functions = llvm::to_vector(kernels.getOps<func::FuncOp>());
  std::vector<OwningOpRef<ModuleOp>> lowered(functions.size());
  if (failed(failableParallelForEach(kernels.getContext(),
                                     llvm::seq<size_t>(0, functions.size()),
                                     [&](size_t number) -> LogicalResult {
                                       FailureOr<OwningOpRef<ModuleOp>> module =
                                           lowerKernel(functions[number]);
                                       if (succeeded(module))
                                         lowered[number] = std::move(*module);
                                       return module;
                                     })))
    return failure();
  OwningOpRef<ModuleOp> all = ModuleOp::create(kernels.getLoc());
  SymbolTable symbols(*all);
  for (OwningOpRef<ModuleOp> &module : lowered)
    for (Operation &op : llvm::make_early_inc_range(*module->getBody())) {
      // Dynamic shared memory has one name in all kernels.
      auto global = dyn_cast<LLVM::GlobalOp>(op);
      if (global && global.getLinkage() == LLVM::Linkage::External &&
          symbols.lookup(global.getSymName()))
        continue;
      op.remove();
      symbols.insert(&op);
    }
  return all;
}

static llvm::StringMap<rt::KernelShape> shapesOf(ModuleOp lowered) {
  llvm::StringMap<rt::KernelShape> shapes;
  for (auto kernel : lowered.getOps<LLVM::LLVMFuncOp>()) {
    auto numberOf = [&](StringRef name) {
      return kernel->getAttrOfType<IntegerAttr>(name).getInt();
    };
    if (kernel->hasAttr(exec::threadsAttrName))
      shapes[kernel.getSymName()] = {
          static_cast<int32_t>(numberOf(exec::threadsAttrName)),
          numberOf(exec::sharedAttrName)};
  }
  return shapes;
}

static InFlightDiagnostic emitOutsideError(ModuleOp module) {
  return emitError(UnknownLoc::get(module.getContext()));
}

static FailureOr<BundleTarget> writeCode(ModuleOp kernels, ModuleOp lowered,
                                         const GPUTarget &gpu,
                                         StringRef directory, StringRef suffix,
                                         std::string_view text) {
  std::string name = (llvm::Twine("kernels.") +
                      (gpu.emulated ? "emu." : "cuda.") + gpu.chip + suffix)
                         .str();
  SmallString<128> path(directory);
  llvm::sys::path::append(path, name);
  if (rt::Status status = rt::writeFile(std::string(path), text); !status.ok())
    return emitOutsideError(kernels)
           << "cannot write " << path << ": " << status.message();
  BundleTarget target;
  target.name = gpu.name();
  target.code = {name, rt::sha256(text), static_cast<int64_t>(text.size())};
  target.kernels = shapesOf(lowered);
  return target;
}

LogicalResult coppice::emitGPUKernels(ModuleOp kernels,
                                      ArrayRef<GPUTarget> gpus,
                                      StringRef directory,
                                      std::vector<BundleTarget> &targets) {
  prepareContext(*kernels.getContext());
  FailureOr<OwningOpRef<ModuleOp>> lowered = lowerKernels(kernels);
  if (failed(lowered))
    return failure();
  for (const GPUTarget &gpu : gpus) {
    std::string text;
    if (gpu.emulated) {
      llvm::raw_string_ostream stream(text);
      (*lowered)->print(stream, OpPrintingFlags().enableDebugInfo());
    } else {
      PTXOptions options;
      options.chip = gpu.chip;
      OwningOpRef<ModuleOp> copy = (*lowered)->clone();
      FailureOr<std::string> ptx = emitPTX(*copy, options);
      if (failed(ptx))
        return failure();
      text = std::move(*ptx);
    }
    FailureOr<BundleTarget> target =
        writeCode(kernels, **lowered, gpu, directory,
                  gpu.emulated ? ".mlir" : ".ptx", text);
    if (failed(target))
      return failure();
    targets.push_back(std::move(*target));
  }
  return success();
}
