//===- EmitKernels.cpp - planned kernels to files of code -----------------===//
// In: a module of planned kernels. Out: a shared object for each instruction
// set. A kernel for an instruction set is a task: copied to a module of its
// own, lowered, and compiled by LLVM. Tasks share nothing and run side by side;
// then each instruction set's objects are linked, in the order of the kernels,
// so that the file does not depend on which task was faster.
//===----------------------------------------------------------------------===//
#include "coppice/Bundle/EmitKernels.h"

#include "coppice/Codegen/CPU/Passes.h"
#include "coppice/Target/EmitCPU.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Threading.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace coppice;

/// Threads may not load dialects: what they need is there before they start.
static void prepareContext(MLIRContext &context, const CPUTarget &isa) {
  prepareEmitCPU(context);
  PassManager codegen(&context);
  buildCodegenCPUPipeline(codegen, isa);
  DialectRegistry registry;
  codegen.getDependentDialects(registry);
  context.appendDialectRegistry(registry);
  for (StringRef name : registry.getDialectNames())
    context.getOrLoadDialect(name);
}

static FailureOr<ObjectCode> compileKernel(func::FuncOp kernel,
                                           const CPUTargetOptions &options,
                                           ObjectCache *cache) {
  std::string key;
  if (cache) {
    key = ObjectCache::keyOf(kernel, options);
    if (std::optional<ObjectCode> known = cache->find(key))
      return *std::move(known);
  }
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  module->getBody()->push_back(kernel->clone());
  PassManager codegen(kernel.getContext());
  buildCodegenCPUPipeline(codegen, options.target);
  if (failed(codegen.run(*module)))
    return failure();
  FailureOr<ObjectCode> object = compileObject(*module, options);
  if (cache && succeeded(object))
    cache->insert(std::move(key), *object);
  return object;
}

static FailureOr<BundleTarget> linkKernels(ModuleOp kernels,
                                           ArrayRef<ObjectCode> objects,
                                           StringRef directory,
                                           const CPUTargetOptions &options) {
  StringRef isa = options.target.name();
  std::string name = ("kernels.cpu." + isa + ".so").str();
  SmallString<128> path(directory);
  llvm::sys::path::append(path, name);
  FailureOr<EmittedTarget> emitted = linkCPU(kernels, objects, path, options);
  if (failed(emitted))
    return failure();
  return BundleTarget{
      "cpu",
      isa.str(),
      {name, emitted->sha256, static_cast<int64_t>(emitted->bytes)},
      emitted->requires_};
}

LogicalResult coppice::emitKernels(ModuleOp kernels, ArrayRef<CPUTarget> isas,
                                   StringRef directory,
                                   std::vector<BundleTarget> &targets,
                                   const EmitOptions &emit) {
  MLIRContext *context = kernels.getContext();
  std::vector<CPUTargetOptions> options(isas.size());
  for (auto [option, isa] : llvm::zip_equal(options, isas)) {
    option.target = isa;
    option.unoptimized = emit.unoptimized;
    prepareContext(*context, isa);
  }
  auto functions = llvm::to_vector(kernels.getOps<func::FuncOp>());
  std::vector<std::vector<ObjectCode>> objects(
      isas.size(), std::vector<ObjectCode>(functions.size()));
  LogicalResult compiled = failableParallelForEach(
      context, llvm::seq<size_t>(0, isas.size() * functions.size()),
      [&](size_t task) -> LogicalResult {
        size_t isa = task % isas.size(), number = task / isas.size();
        FailureOr<ObjectCode> object =
            compileKernel(functions[number], options[isa], emit.objects);
        if (succeeded(object))
          objects[isa][number] = std::move(*object);
        return object;
      });
  if (failed(compiled))
    return failure();
  for (auto [option, code] : llvm::zip_equal(options, objects)) {
    FailureOr<BundleTarget> target =
        linkKernels(kernels, code, directory, option);
    if (failed(target))
      return failure();
    targets.push_back(std::move(*target));
  }
  return success();
}
