//===- Kernels.cpp - kernels as `compile` makes them, in a test -----------===//

#include "Kernels.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"

using namespace mlir;

namespace coppice::test {

// The context dies before the test asks: the map is kept as text.
Expr keepMap(AffineMap map) {
  if (!map)
    return {};
  return [text = llvm::formatv("{0}", map).str()](const Symbols &symbols) {
    MLIRContext context;
    auto map = cast<AffineMapAttr>(
        parseAttribute("affine_map<" + text + ">", &context));
    Builder builder(&context);
    SmallVector<Attribute> values, results;
    for (int64_t value : symbols.values())
      values.push_back(builder.getI64IntegerAttr(value));
    EXPECT_TRUE(succeeded(map.getValue().constantFold(values, results)));
    return cast<IntegerAttr>(results.front()).getInt();
  };
}

std::unique_ptr<Kernels> Kernels::compile(const std::string &source,
                                          bool oracle, std::string isa) {
  return isa == "emu:sm_80" ? compileForGPU(source)
                            : compileForCPU(source, oracle, isa);
}

std::vector<std::string> instructionSets() {
  std::vector<std::string> names{"avx2"};
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    names.push_back("avx512");
  if (__builtin_cpu_supports("avx512bf16"))
    names.push_back("avx512_bf16");
  return names;
}

std::string rowsType(int64_t width, StringRef element) {
  return llvm::formatv("tensor<?x{0}x{1}>", width, element).str();
}

std::string rowsDims(int64_t width) {
  return llvm::formatv("{{exec.dims = [\"rows\", {0}]}", width).str();
}

LogicalResult Kernels::plan(ModuleOp module, Plan planKernel) {
  for (auto kernel : llvm::to_vector(module.getOps<func::FuncOp>())) {
    FailureOr<KernelPlan> plan = planKernel(kernel);
    if (failed(plan))
      return failure();
    Kernel &entry = kernels[kernel.getName()];
    entry.results = kernel.getNumResults();
    for (exec::PackingAttr packing : plan->packings)
      entry.panels.push_back(packing ? packing.getPanels() : 0);
    for (auto [arg, type] : llvm::enumerate(kernel.getArgumentTypes())) {
      auto tensor =
          packedType(cast<RankedTensorType>(type), plan->packings[arg]);
      Argument &argument = entry.arguments.emplace_back();
      argument.elementBytes = exec::getElementBytes(tensor.getElementType());
      for (unsigned dim = 0; dim < tensor.getRank(); ++dim) {
        // Only what is not packed has an extent that is not known.
        FailureOr<AffineExpr> extent =
            tensor.isDynamicDim(dim)
                ? getArgumentExtent(kernel, arg, dim)
                : getAffineConstantExpr(tensor.getDimSize(dim),
                                        kernel.getContext());
        if (failed(extent))
          return failure();
        argument.shape.push_back(keepMap(makeGrid(*extent)));
      }
    }
    OpBuilder builder(kernel);
    for (const KernelVariant &variant : plan->variants) {
      Variant &made = entry.variants.emplace_back();
      made.guard = keepMap(variant.guard);
      made.workspace = keepMap(variant.workspace);
      for (const KernelStage &stage : variant.stages) {
        std::string name = kernel.getName().str() + "__" +
                           std::to_string(entry.variants.size()) + "_" +
                           std::to_string(made.stages.size());
        auto copy = cast<func::FuncOp>(builder.clone(*kernel));
        copy.setName(name);
        applyPlan(copy, *plan, variant, stage);
        made.stages.push_back({name, keepMap(stage.grid)});
        entry.strategy = stage.config.getStrategy().getValue();
        entry.rows = stage.config.getParameter("rows").value_or(0);
      }
    }
    kernel.erase();
  }
  return success();
}

const Kernels::Variant &Kernels::choose(const Kernel &kernel,
                                        const Symbols &symbols) {
  return *llvm::find_if(kernel.variants, [&](const Variant &variant) {
    return !variant.guard || variant.guard(symbols) > 0;
  });
}

void Kernels::runItems(StringRef name, const std::vector<const void *> &args,
                       const Symbols &symbols, int64_t begin, int64_t end) {
  const Variant &variant = choose(kernels.find(name)->second, symbols);
  ASSERT_EQ(variant.stages.size(), 1u) << name.str();
  callItems(variant.stages.front().symbol, args, symbols, begin, end);
}

void Kernels::run(StringRef name, std::vector<const void *> args,
                  const Symbols &symbols, int64_t chunk) {
  const Kernel &kernel = kernels.find(name)->second;
  const Variant &variant = choose(kernel, symbols);
  std::vector<std::byte> workspace;
  int64_t bytes = 0;
  if (variant.workspace) {
    bytes = variant.workspace(symbols);
    workspace.resize(bytes + 64);
    args.push_back(workspace.data() +
                   (64 - reinterpret_cast<uintptr_t>(workspace.data()) % 64) %
                       64);
  }
  for (const Stage &stage : variant.stages)
    call(kernel, stage, args, bytes, symbols, chunk);
}

} // namespace coppice::test
