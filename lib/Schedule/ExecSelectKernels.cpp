//===- ExecSelectKernels.cpp - the target's plans onto kernels ------------===//
// In: an exec.program whose dispatches name one kernel each. Out: the same with
// what the target's planner chose for each kernel: variants with their guards,
// stages with configuration and grid, packing. Each stage is a kernel of its
// own, a copy of the one that was planned.
//
// Packing is per argument of a kernel, weights are shared by dispatches: a
// weight is declared once for each packing that someone reads it in.
//===----------------------------------------------------------------------===//
#include "coppice/Schedule/Passes.h"

#include "coppice/Codegen/CPU/PlanKernel.h"
#include "coppice/Codegen/NVPTX/PlanKernel.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "coppice/Target/CPUTarget.h"
#include "coppice/Tune/TuningCache.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace coppice {
#define GEN_PASS_DEF_EXECSELECTKERNELS
#include "coppice/Schedule/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;

namespace {
struct ExecSelectKernels
    : coppice::impl::ExecSelectKernelsBase<ExecSelectKernels> {
  using Base::Base;
  void runOnOperation() override;

private:
  using Plan = llvm::function_ref<FailureOr<KernelPlan>(func::FuncOp)>;
  LogicalResult planKernels(ModuleOp kernels, Plan planKernel);
  LogicalResult makeStages(ModuleOp kernels, func::FuncOp kernel,
                           const KernelPlan &plan);
  LogicalResult rewrite(exec::DispatchOp dispatch);
  exec::WeightOp getPackedWeight(exec::WeightOp weight,
                                 exec::PackingAttr packing);

  struct Planned {
    SmallVector<exec::PackingAttr> packings;
    SmallVector<Attribute> variants; // exec::VariantAttr
  };
  DenseMap<SymbolRefAttr, Planned> plans;
  DenseMap<std::pair<Attribute, Attribute>, exec::WeightOp> packed;
};
} // namespace

/// Makes a copy of `kernel` for each stage of its plan, beside it, and takes it
/// away.
LogicalResult ExecSelectKernels::makeStages(ModuleOp kernels,
                                            func::FuncOp kernel,
                                            const KernelPlan &plan) {
  auto nameOf = [&](StringAttr kernelName) {
    return SymbolRefAttr::get(kernels.getSymNameAttr(),
                              {FlatSymbolRefAttr::get(kernelName)});
  };
  StringAttr base = kernel.getSymNameAttr();
  Planned &planned = plans[nameOf(base)];
  planned.packings = plan.packings;
  // Out of the module, so that a stage may have its name.
  OpBuilder builder(&getContext());
  builder.setInsertionPointAfter(kernel);
  kernel->remove();
  OwningOpRef<func::FuncOp> original(kernel);
  for (const KernelVariant &variant : plan.variants) {
    SmallVector<exec::StageAttr> stages;
    for (const KernelStage &stage : variant.stages) {
      StringAttr name =
          stage.suffix.empty()
              ? base
              : builder.getStringAttr(base.getValue() + "_" + stage.suffix);
      auto made = kernels.lookupSymbol<func::FuncOp>(name);
      if (!made) {
        made = original->clone();
        made.setSymNameAttr(name);
        builder.insert(made);
        applyPlan(made, plan, variant, stage);
      } else if (made->getAttr(exec::configAttrName) != stage.config ||
                 made->getAttr(exec::workspaceAttrName) !=
                     (variant.workspace ? AffineMapAttr::get(variant.workspace)
                                        : AffineMapAttr()) ||
                 (plan.countsItems && made->getAttr(exec::gridAttrName) !=
                                          AffineMapAttr::get(stage.grid))) {
        return original->emitError("has two different stages named '")
               << name.getValue() << "'";
      }
      stages.push_back(exec::StageAttr::get(&getContext(), nameOf(name),
                                            AffineMapAttr::get(stage.grid),
                                            stage.config));
    }
    auto attr = [](AffineMap map) {
      return map ? AffineMapAttr::get(map) : AffineMapAttr();
    };
    planned.variants.push_back(exec::VariantAttr::get(
        &getContext(), stages, attr(variant.guard), attr(variant.workspace)));
  }
  return success();
}

/// Every kernel is planned once, however many dispatches run it.
LogicalResult ExecSelectKernels::planKernels(ModuleOp kernels,
                                             Plan planKernel) {
  for (auto kernel : llvm::to_vector(kernels.getOps<func::FuncOp>())) {
    FailureOr<KernelPlan> plan = planKernel(kernel);
    if (failed(plan) || failed(makeStages(kernels, kernel, *plan)))
      return failure();
  }
  return success();
}

exec::WeightOp ExecSelectKernels::getPackedWeight(exec::WeightOp weight,
                                                  exec::PackingAttr packing) {
  exec::WeightOp &result = packed[{weight.getGlobalAttr(), packing}];
  if (result)
    return result;
  auto type = cast<MemRefType>(weight.getType());
  FailureOr<SmallVector<int64_t>> shape = packing.pack(type);
  if (failed(shape))
    return nullptr;
  OpBuilder builder(&getContext());
  builder.setInsertionPointAfter(weight);
  std::string name = weight.getName().str();
  llvm::raw_string_ostream stream(name);
  stream << ".panels" << packing.getPanels();
  if (packing.getOf())
    stream << "." << packing.getKept() << "of" << packing.getOf();
  return result = exec::WeightOp::create(
             builder, weight.getLoc(),
             MemRefType::get(*shape, type.getElementType()),
             builder.getStringAttr(name), weight.getGlobalAttr(), packing);
}

LogicalResult ExecSelectKernels::rewrite(exec::DispatchOp dispatch) {
  SmallVector<exec::VariantAttr> variants = dispatch.getVariantList();
  if (variants.size() != 1 || variants.front().getStages().size() != 1)
    return dispatch.emitError("expected one kernel to choose for, found ")
           << dispatch.getVariants();
  SymbolRefAttr kernel = variants.front().getStages().front().getKernel();
  auto plan = plans.find(kernel);
  if (plan == plans.end())
    return dispatch.emitError("expected kernel ")
           << kernel << " in module @" << exec::kernelsModuleName;
  for (auto [index, packing] : llvm::enumerate(plan->second.packings)) {
    auto weight = dispatch.getArgs()[index].getDefiningOp<exec::WeightOp>();
    if (!packing || (weight && weight.getPacking() == packing))
      continue;
    if (!weight || !weight.getPacking().isRows())
      return dispatch.emitError("kernel ")
             << kernel << " wants argument " << index << " packed as "
             << packing << ", which is only possible for a weight";
    exec::WeightOp packedWeight = getPackedWeight(weight, packing);
    if (!packedWeight)
      return dispatch.emitError("cannot pack argument ")
             << index << " of type " << weight.getType() << " as " << packing;
    dispatch.getArgsMutable()[index].set(packedWeight);
  }
  dispatch.setVariantsAttr(
      ArrayAttr::get(&getContext(), plan->second.variants));
  return success();
}

/// Bytes of a weight that a kernel reads, without padding.
static int64_t getReadBytes(exec::WeightOp weight, exec::GemmAttr gemm) {
  auto type = cast<MemRefType>(weight.getType());
  int64_t size = exec::getElementBytes(type.getElementType());
  if (auto layout = weight.getPacking().getNMLayout(type.getElementType()))
    return layout->stepElements() * size * gemm.getN() * gemm.getK() /
           (layout->panelColumns() * layout->stepColumns());
  return type.getNumElements() * size;
}

/// Costs of a product whose weight has a pattern are written down as a CPU has
/// them: what is kept is read, and multiplied with its zeros. A GPU reads, and
/// multiplies, two of each four or all of them.
static void settleCost(exec::DispatchOp dispatch) {
  exec::CostAttr cost = dispatch.getCostAttr();
  if (!cost || cost.getExecutedPerFlop() == 1 || !dispatch.getGemmAttr())
    return;
  int64_t bytes = 0, executed = cost.getExecutedPerFlop();
  for (Value arg : dispatch.getArgs())
    if (auto weight = arg.getDefiningOp<exec::WeightOp>()) {
      bytes += getReadBytes(weight, dispatch.getGemmAttr());
      if (weight.getPacking().getOf())
        executed /= weight.getPacking().getOf() / weight.getPacking().getKept();
    }
  MLIRContext *context = dispatch.getContext();
  dispatch.setCostAttr(exec::CostAttr::get(
      context, cost.getFlops(),
      exec::getExprAttr(getAffineConstantExpr(bytes, context)),
      cost.getReadBytes(), cost.getWriteBytes(), cost.getArithmetic(),
      cost.getWindow(), executed));
}

void ExecSelectKernels::runOnOperation() {
  ModuleOp module = getOperation();
  bool isGPU = target == "nvptx";
  if (target != "cpu" && !isGPU) {
    module.emitError("unknown target '")
        << target << "', expected one of: cpu, nvptx";
    return signalPassFailure();
  }
  cpu::PlanOptions options;
  TuningCache measured;
  int64_t asked = 0, found = 0;
  if (!tuning.empty()) {
    llvm::Expected<TuningCache> loaded = TuningCache::load(tuning);
    if (!loaded) {
      emitError(UnknownLoc::get(&getContext()))
          << llvm::toString(loaded.takeError());
      return signalPassFailure();
    }
    measured = std::move(*loaded);
  }
  FailureOr<CPUTarget> host = CPUTarget::host();
  if (measured.size() > 0 && succeeded(host))
    options.tuned = [&](const GemmClass &gemm, const RowBucket &bucket) {
      std::optional<GemmConfig> config =
          measured.lookup(gemm, bucket, host->name(), &getContext());
      ++asked;
      found += config.has_value();
      return config;
    };
  for (auto program : module.getOps<exec::ProgramOp>()) {
    options.oracle = program.getOracle();
    auto kernels = module.lookupSymbol<ModuleOp>(exec::kernelsModuleName);
    if (!kernels) {
      program.emitError("expected a module @")
          << exec::kernelsModuleName << " beside the program";
      return signalPassFailure();
    }
    if (isGPU && program.getOracle()) {
      program.emitError("is the oracle, which runs on a CPU only");
      return signalPassFailure();
    }
    if (failed(planKernels(kernels, [&](func::FuncOp kernel) {
          return isGPU ? nvptx::planKernel(kernel)
                       : cpu::planKernel(kernel, options);
        })))
      return signalPassFailure();
    for (auto dispatch : program.getOps<exec::DispatchOp>()) {
      if (failed(rewrite(dispatch)))
        return signalPassFailure();
      if (isGPU)
        settleCost(dispatch);
    }
    // A layout that nobody reads any more; a weight packed alone keeps its
    // name.
    for (auto weight :
         llvm::make_early_inc_range(program.getOps<exec::WeightOp>()))
      if (weight->use_empty()) {
        SmallVector<exec::WeightOp> others;
        for (auto &[key, other] : packed)
          if (key.first == weight.getGlobalAttr())
            others.push_back(other);
        if (others.size() == 1)
          others.front().setNameAttr(weight.getNameAttr());
        weight.erase();
      }
  }
  if (found > 0)
    emitRemark(UnknownLoc::get(&getContext()))
        << "took " << found << " of " << asked
        << " configurations of matrix products from '" << tuning << "'";
}
