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
#include "coppice/Target/AssemblePTX.h"
#include "coppice/Target/EmitPTX.h"
#include "runtime/base/atomic_file.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Threading.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Path.h"

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
    if (!kernel->hasAttr(exec::threadsAttrName))
      continue;
    rt::KernelShape &shape = shapes[kernel.getSymName()];
    shape.threads = static_cast<int32_t>(numberOf(exec::threadsAttrName));
    shape.sharedBytes = numberOf(exec::sharedAttrName);
  }
  return shapes;
}

/// A kernel that no block of the chip could run is a fault of its plan.
static LogicalResult checkSharedMemory(ModuleOp lowered, const GPUTarget &gpu) {
  for (const auto &[name, shape] : shapesOf(lowered))
    if (shape.sharedBytes > gpu.sharedBytes())
      return emitError(UnknownLoc::get(lowered.getContext()))
             << "kernel '" << name << "': expected at most "
             << gpu.sharedBytes()
             << " bytes of shared memory, which a block on " << gpu.chip
             << " has, found " << shape.sharedBytes;
  return success();
}

static InFlightDiagnostic emitOutsideError(ModuleOp module) {
  return emitError(UnknownLoc::get(module.getContext()));
}

namespace {
/// Writes the files of code of one module of kernels.
class CodeWriter {
public:
  CodeWriter(ModuleOp lowered, StringRef directory,
             std::vector<BundleTarget> &targets)
      : lowered(lowered), directory(directory), targets(targets) {}

  LogicalResult writeEmulated(const GPUTarget &gpu);
  LogicalResult writePTX(const GPUTarget &gpu);

private:
  LogicalResult write(const GPUTarget &gpu, StringRef suffix,
                      std::string_view content, BundleTarget target);

  ModuleOp lowered;
  StringRef directory;
  std::vector<BundleTarget> &targets;
};
} // namespace

LogicalResult CodeWriter::write(const GPUTarget &gpu, StringRef suffix,
                                std::string_view content, BundleTarget target) {
  std::string name =
      ("kernels." + llvm::Twine(gpu.emulated ? "emu." : "cuda.") + gpu.chip +
       suffix)
          .str();
  SmallString<128> path(directory);
  llvm::sys::path::append(path, name);
  if (rt::Status status = rt::writeFile(std::string(path), content);
      !status.ok())
    return emitOutsideError(lowered)
           << "cannot write " << path << ": " << status.message();
  target.name = gpu.name();
  target.code = {name, rt::sha256(content),
                 static_cast<int64_t>(content.size())};
  targets.push_back(std::move(target));
  return success();
}

LogicalResult CodeWriter::writeEmulated(const GPUTarget &gpu) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  lowered.print(stream, OpPrintingFlags().enableDebugInfo());
  BundleTarget target;
  target.kernels = shapesOf(lowered);
  return write(gpu, ".mlir", text, std::move(target));
}

/// What of ptxas's report makes kernels slower than they were planned to be:
/// registers that do not suffice, pipelines that it takes apart.
static void tellSlowKernels(ModuleOp lowered, const GPUTarget &gpu,
                            const AssembledPTX &assembled) {
  auto warn = [&] {
    return emitWarning(UnknownLoc::get(lowered.getContext()))
           << gpu.name() << ": ";
  };
  for (auto kernel : lowered.getOps<LLVM::LLVMFuncOp>()) {
    auto found = assembled.kernels.find(kernel.getSymName());
    if (found != assembled.kernels.end() && found->second.spillBytes)
      warn() << "kernel '" << kernel.getSymName() << "' spills "
             << found->second.spillBytes << " bytes of registers";
  }
  for (StringRef line : llvm::split(assembled.warnings, '\n'))
    if (!line.empty())
      warn() << line;
}

/// The cubin comes first: it loads at once, and is what was looked at. It runs
/// on GPUs of the chip's generation only; PTX on later ones, too.
LogicalResult CodeWriter::writePTX(const GPUTarget &gpu) {
  PTXOptions options;
  options.chip = gpu.chip;
  OwningOpRef<ModuleOp> copy = lowered.clone();
  FailureOr<std::string> ptx = emitPTX(*copy, options);
  if (failed(ptx))
    return failure();
  BundleTarget target;
  target.kernels = shapesOf(lowered);
  if (std::optional<std::string> ptxas = findPtxas()) {
    llvm::Expected<AssembledPTX> assembled =
        assemblePTX(*ptxas, *ptx, gpu.chip);
    if (!assembled) {
      emitWarning(UnknownLoc::get(lowered.getContext()))
          << "the bundle has PTX alone: "
          << llvm::toString(assembled.takeError());
    } else {
      for (auto &[name, shape] : target.kernels) {
        const KernelResources &found = assembled->kernels[name];
        shape.registers = static_cast<int32_t>(found.registers);
        shape.spillBytes = found.spillBytes;
      }
      tellSlowKernels(lowered, gpu, *assembled);
      BundleTarget cubin = target;
      cubin.isa = "cubin";
      cubin.requirements = {"cubin"};
      if (failed(write(gpu, ".cubin", assembled->cubin, std::move(cubin))))
        return failure();
    }
  }
  target.isa = "ptx";
  return write(gpu, ".ptx", *ptx, std::move(target));
}

LogicalResult coppice::emitGPUKernels(ModuleOp kernels,
                                      ArrayRef<GPUTarget> gpus,
                                      StringRef directory,
                                      std::vector<BundleTarget> &targets) {
  prepareContext(*kernels.getContext());
  FailureOr<OwningOpRef<ModuleOp>> lowered = lowerKernels(kernels);
  if (failed(lowered))
    return failure();
  CodeWriter writer(**lowered, directory, targets);
  for (const GPUTarget &gpu : gpus)
    if (failed(checkSharedMemory(**lowered, gpu)) ||
        failed(gpu.emulated ? writer.writeEmulated(gpu) : writer.writePTX(gpu)))
      return failure();
  return success();
}
