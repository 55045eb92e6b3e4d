//===- LoadedGemm.cpp - one GEMM kernel, compiled and loaded ------------===//

#include "coppice/Codegen/CPU/LoadedGemm.h"
#include "coppice/Codegen/CPU/Passes.h"
#include "coppice/Target/EmitCPU.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include <dlfcn.h>

using namespace mlir;
using llvm::formatv;

namespace coppice {

static int64_t bytesOf(StringRef type) { return type == "f32" ? 4 : 2; }

GemmClass GemmSpec::getClass() const {
  return {n, k, bytesOf(input), bytesOf(weight), 1, panelSize, kept, of};
}

int64_t GemmSpec::getRowLists() const {
  switch (rows) {
  case Rows::All:
    return 0;
  case Rows::Gather:
  case Rows::Scatter:
  case Rows::Both:
    return 1;
  case Rows::PerPanel:
    return static_cast<int64_t>(llvm::divideCeil(n, panelSize));
  case Rows::PerGroup:
    return static_cast<int64_t>(llvm::divideCeil(k, groupSize));
  }
  llvm_unreachable("all kinds are handled");
}

std::string GemmSpec::getSource(StringRef name) const {
  std::string x = formatv("tensor<?x{0}x{1}>", k, input),
              w = formatv("tensor<{0}x{1}x{2}>", n, k, weight),
              y = formatv("tensor<?x{0}x{1}>", n, output);
  std::string arguments, region;
  if (epilogue == Epilogue::Bias) {
    arguments = formatv(", %b: tensor<{0}x{1}>", n, weight);
    region = formatv(" epilogue(%acc: f32, %b0: {0} = %b : tensor<{1}x{0}>) {{",
                     weight, n);
    std::string bias = "%b0";
    if (weight != "f32") {
      region += formatv("%b1 = arith.extf %b0 : {0} to f32\n", weight);
      bias = "%b1";
    }
    region += formatv("%s = arith.addf %acc, {0} : f32\n", bias);
    std::string sum = "%s";
    if (output != "f32") {
      region += formatv("%t = arith.truncf %s : f32 to {0}\n", output);
      sum = "%t";
    }
    region += formatv("prune.yield {0} : {1} }", sum, output);
  } else if (epilogue == Epilogue::Residual) {
    region = formatv(" epilogue(%acc: f32, %r: f32 = %out : {0}) {{"
                     "%s = arith.addf %acc, %r : f32\n"
                     "prune.yield %s : f32 }",
                     y);
  }
  std::string sets;
  auto addSet = [&](StringRef keyword, StringRef list, StringRef capacity,
                    StringRef attributes = "") {
    arguments += formatv(", %{0}: tensor<{1}xi32>{2}, %{0}_count: tensor<i32>",
                         list, capacity, attributes);
    sets += formatv(" {0}(%{1}, %{1}_count : tensor<{2}xi32>)", keyword, list,
                    capacity);
  };
  auto granules = [](int64_t extent, int64_t size) {
    return std::to_string(llvm::divideCeil(extent, size));
  };
  bool isPerPanel = rows == Rows::PerPanel, isPerGroup = rows == Rows::PerGroup;
  if (isPerPanel || isPerGroup) {
    int64_t lists = getRowLists();
    arguments += formatv(", %rows: tensor<{0}x?xi32> {{exec.dims = [{0}, "
                         "\"rows\"]}, %counts: tensor<{0}xi32>",
                         lists);
    sets += formatv(" rows both(%rows, %counts : tensor<{0}x?xi32>) per {1} "
                    "of {2}",
                    lists, isPerPanel ? "panel" : "group",
                    isPerPanel ? panelSize : groupSize);
  } else if (rows != Rows::All)
    addSet(rows == Rows::Gather    ? "rows gather"
           : rows == Rows::Scatter ? "rows scatter"
                                   : "rows both",
           "rows", "?", " {exec.dims = [\"rows\"]}");
  if (panelSize && !isPerPanel)
    addSet(formatv("panels of {0}", panelSize).str(), "panels",
           granules(n, panelSize));
  if (groupSize && !isPerGroup)
    addSet(formatv("groups of {0}", groupSize).str(), "groups",
           granules(k, groupSize));
  if ((rows != Rows::All && !isPerGroup) || panelSize)
    sets += " into %out";
  std::string pattern;
  if (of)
    pattern = formatv(" pattern <{0} of {1}>", kept, of);
  if (hasZeros)
    pattern += " zeros 0.5";
  return formatv(R"(
    func.func @{0}(%x: {1} {{exec.dims = ["rows", {2}]}, %w: {3}{4},
                   %out: {5} {{exec.dims = ["rows", {6}]}) -> {5} {{
      %0 = prune.gemm "" %x, %w{8}{9}{7} : {1}, {3} -> {5}
      return %0 : {5}
    })",
                 name, x, k, w, arguments, y, n, region, sets, pattern);
}

int64_t LoadedGemm::depth() const { return spec.weight == "bf16" ? 2 : 1; }

std::optional<rt::NMLayout> LoadedGemm::nmLayout() const {
  auto layout = rt::NMLayout::make(spec.kept, spec.of, config.panel, depth(),
                                   bytesOf(spec.weight));
  // Groups of a set are whole steps, or the pattern is not made use of.
  if (layout && spec.groupSize % layout->stepColumns())
    return std::nullopt;
  return layout;
}

int64_t LoadedGemm::items(int64_t m) const {
  int64_t panels = llvm::divideCeil(spec.n, config.panel);
  if (spec.rows == GemmSpec::Rows::PerPanel)
    return llvm::divideCeil(m, config.rows) * spec.getRowLists() *
           llvm::divideCeil(spec.panelSize / config.panel, config.panels);
  return llvm::divideCeil(m, config.rows) *
         llvm::divideCeil(panels, config.panels);
}

void LoadedGemm::run(ArrayRef<const void *> args, int64_t m, int64_t begin,
                     int64_t end) const {
  int64_t symbols[exec::numSymbols] = {m};
  kernel(args.data(), symbols, begin, end);
}

FailureOr<std::unique_ptr<LoadedGemm>>
LoadedGemm::compile(const GemmSpec &spec, const GemmConfig &config,
                    const CPUTarget &target, const std::string &dumpLLVM) {
  DialectRegistry registry;
  registerCodegenCPUDialects(registry);
  MLIRContext context(registry);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(
      spec.getSource("kernel"), ParserConfig(&context));
  if (!module)
    return failure();
  std::unique_ptr<LoadedGemm> gemm(new LoadedGemm(spec, config));
  auto kernel = *module->getOps<func::FuncOp>().begin();
  kernel->setAttr(exec::configAttrName, config.toAttr(&context));
  kernel.setArgAttr(1, exec::packingAttrName,
                    exec::PackingAttr::get(&context, config.panel,
                                           gemm->depth(),
                                           gemm->nmLayout() ? spec.kept : 0,
                                           gemm->nmLayout() ? spec.of : 0));
  PassManager manager(&context);
  buildCodegenCPUPipeline(manager, target);
  if (failed(manager.run(*module)))
    return failure();

  CPUTargetOptions options;
  options.target = target;
  options.dumpLLVM = dumpLLVM;
  SmallString<128> path;
  if (std::error_code code =
          llvm::sys::fs::createTemporaryFile("coppice-gemm", "so", path))
    return module->emitError() << "cannot make a temporary file (TMPDIR says "
                                  "where): "
                               << code.message();
  FailureOr<EmittedTarget> emitted = emitCPU(*module, path, options);
  if (succeeded(emitted))
    gemm->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  llvm::sys::fs::remove(path);
  if (failed(emitted))
    return failure();
  if (!gemm->library)
    return module->emitError() << "cannot load the kernel: " << dlerror();
  gemm->kernel =
      reinterpret_cast<decltype(gemm->kernel)>(dlsym(gemm->library, "kernel"));
  if (!gemm->kernel)
    return module->emitError() << "cannot find the kernel: " << dlerror();
  return gemm;
}

LoadedGemm::~LoadedGemm() {
  if (library)
    dlclose(library);
}

} // namespace coppice
