//===- ExecSelectKernels.cpp - the target's plans onto kernels ------------===//
// In: an exec.program whose variants name kernels only. Out: the same with what
// the target's planner chose for each kernel: configuration, grid, packing.
//
// Packing is per argument of a kernel, weights are shared by dispatches: a
// weight is declared once for each packing that someone reads it in.
//===----------------------------------------------------------------------===//
#include "coppice/Schedule/Passes.h"

#include "coppice/Codegen/CPU/KernelPlan.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
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
  LogicalResult planKernels(ModuleOp kernels, const PlanOptions &options);
  LogicalResult applyPlan(exec::DispatchOp dispatch);
  exec::WeightOp getPackedWeight(exec::WeightOp weight,
                                 exec::PackingAttr packing);

  DenseMap<SymbolRefAttr, KernelPlan> plans;
  DenseMap<std::pair<Attribute, Attribute>, exec::WeightOp> packed;
};
} // namespace

/// Every kernel is planned once, however many dispatches run it.
LogicalResult ExecSelectKernels::planKernels(ModuleOp kernels,
                                             const PlanOptions &options) {
  for (auto kernel : kernels.getOps<func::FuncOp>()) {
    FailureOr<KernelPlan> plan = planKernel(kernel, options);
    if (failed(plan))
      return failure();
    kernel->setAttr(exec::configAttrName, plan->config);
    for (auto [index, packing] : llvm::enumerate(plan->packings))
      if (packing)
        kernel.setArgAttr(index, exec::packingAttrName, packing);
    auto name =
        SymbolRefAttr::get(kernels.getSymNameAttr(),
                           {FlatSymbolRefAttr::get(kernel.getSymNameAttr())});
    plans.try_emplace(name, std::move(*plan));
  }
  return success();
}

exec::WeightOp ExecSelectKernels::getPackedWeight(exec::WeightOp weight,
                                                  exec::PackingAttr packing) {
  exec::WeightOp &result = packed[{weight.getGlobalAttr(), packing}];
  if (result)
    return result;
  auto type = cast<MemRefType>(weight.getType());
  FailureOr<SmallVector<int64_t>> shape = packing.pack(type.getShape());
  if (failed(shape))
    return nullptr;
  OpBuilder builder(&getContext());
  builder.setInsertionPointAfter(weight);
  return result = exec::WeightOp::create(
             builder, weight.getLoc(),
             MemRefType::get(*shape, type.getElementType()),
             builder.getStringAttr(weight.getName() + ".panels" +
                                   Twine(packing.getPanels())),
             weight.getGlobalAttr(), packing);
}

LogicalResult ExecSelectKernels::applyPlan(exec::DispatchOp dispatch) {
  SmallVector<Attribute> variants;
  for (exec::VariantAttr variant : dispatch.getVariantList()) {
    auto plan = plans.find(variant.getKernel());
    if (plan == plans.end())
      return dispatch.emitError("expected kernel ")
             << variant.getKernel() << " in module @"
             << exec::kernelsModuleName;
    variants.push_back(
        exec::VariantAttr::get(&getContext(), variant.getKernel(),
                               AffineMapAttr::get(plan->second.grid),
                               plan->second.config, variant.getGuard()));
    for (auto [index, packing] : llvm::enumerate(plan->second.packings)) {
      auto weight = dispatch.getArgs()[index].getDefiningOp<exec::WeightOp>();
      if (!packing || (weight && weight.getPacking() == packing))
        continue;
      if (!weight || !weight.getPacking().isRows())
        return dispatch.emitError("kernel ")
               << variant.getKernel() << " wants argument " << index
               << " packed as " << packing
               << ", which is only possible for a weight that all variants "
                  "read in the same layout";
      exec::WeightOp panelled = getPackedWeight(weight, packing);
      if (!panelled)
        return dispatch.emitError("cannot pack argument ")
               << index << " of type " << weight.getType() << " into panels";
      dispatch.getArgsMutable()[index].set(panelled);
    }
  }
  dispatch.setVariantsAttr(ArrayAttr::get(&getContext(), variants));
  return success();
}

void ExecSelectKernels::runOnOperation() {
  ModuleOp module = getOperation();
  if (target != "cpu") {
    module.emitError("unknown target '") << target << "', expected one of: cpu";
    return signalPassFailure();
  }
  PlanOptions options;
  std::string message;
  FailureOr<CPUTarget> cpu = CPUTarget::parse(isa, message);
  if (failed(cpu)) {
    module.emitError(message);
    return signalPassFailure();
  }
  options.target = *cpu;

  for (auto program : module.getOps<exec::ProgramOp>()) {
    options.oracle = program.getOracle();
    auto kernels = module.lookupSymbol<ModuleOp>(exec::kernelsModuleName);
    if (!kernels) {
      program.emitError("expected a module @")
          << exec::kernelsModuleName << " beside the program";
      return signalPassFailure();
    }
    if (failed(planKernels(kernels, options)))
      return signalPassFailure();
    for (auto dispatch : program.getOps<exec::DispatchOp>())
      if (failed(applyPlan(dispatch)))
        return signalPassFailure();
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
}
