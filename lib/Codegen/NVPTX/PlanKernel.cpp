//===- PlanKernel.cpp - choose how a kernel is compiled for a GPU ---------===//

#include "coppice/Codegen/NVPTX/PlanKernel.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice::nvptx {

KernelPlan planAlways(func::FuncOp kernel, exec::ConfigAttr config,
                      AffineMap grid) {
  KernelPlan plan = KernelPlan::always(kernel, config, grid);
  plan.countsItems = true;
  return plan;
}

FailureOr<KernelPlan> planKernel(func::FuncOp kernel,
                                 const PlanOptions &options) {
  if (!llvm::hasSingleElement(kernel.getBody()))
    return kernel.emitError("expected a kernel with one block");
  if (auto plan = planGemm(kernel, options))
    return *plan;
  if (auto plan = planDots(kernel))
    return *plan;
  if (auto plan = planCompact(kernel))
    return *plan;
  if (auto plan = planNorm(kernel))
    return *plan;
  if (auto plan = planRows(kernel))
    return *plan;
  if (auto plan = planRotary(kernel))
    return *plan;
  if (auto plan = planSelectBlocks(kernel))
    return *plan;
  if (auto plan = planAttention(kernel))
    return *plan;
  if (auto plan = planElementwise(kernel))
    return *plan;
  return planLoops(kernel);
}

} // namespace coppice::nvptx
