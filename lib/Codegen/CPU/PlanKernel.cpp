//===- PlanKernel.cpp - choose how a kernel is compiled for the CPU -------===//

#include "coppice/Codegen/CPU/PlanKernel.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice::cpu {

FailureOr<KernelPlan> planKernel(func::FuncOp kernel,
                                 const PlanOptions &options) {
  if (!llvm::hasSingleElement(kernel.getBody()))
    return kernel.emitError("expected a kernel with one block");
  if (options.oracle)
    return planLoops(kernel, kPlain);
  if (auto plan = planGemm(kernel, options))
    return *plan;
  if (auto plan = planAttention(kernel))
    return *plan;
  if (auto plan = planRotary(kernel))
    return *plan;
  if (auto plan = planRows(kernel))
    return *plan;
  if (auto plan = planCompact(kernel))
    return *plan;
  if (auto plan = planSelectBlocks(kernel))
    return *plan;
  return planLoops(kernel, kLoops);
}

} // namespace coppice::cpu
