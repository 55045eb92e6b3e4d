//===- PruneSinkRoutes.cpp - projections of rows below residual sums ------===//
// In: a propagated @forward with `r + P_m x`, P_m a `prune.project_by`. Out:
// `P_m (r + x) into r`, which is the same: where the mask keeps nothing, the
// sum is r. So the sum is the only reader of what the sublayer computes, and
// can become the epilogue of the product that ends it.
//===----------------------------------------------------------------------===//
#include "coppice/Schedule/Passes.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace coppice {
#define GEN_PASS_DEF_PRUNESINKROUTES
#include "coppice/Schedule/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;

/// Does `op` add its two operands, element by element?
static bool isSum(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 ||
      op.getNumParallelLoops() != op.getNumLoops() ||
      !llvm::all_of(op.getIndexingMapsArray(),
                    [](AffineMap map) { return map.isIdentity(); }) ||
      !llvm::hasNItems(op.getBody()->without_terminator(), 1))
    return false;
  auto add = dyn_cast<arith::AddFOp>(op.getBody()->front());
  auto isOperand = [&](Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getArgNumber() < 2;
  };
  return add && add.getLhs() != add.getRhs() && isOperand(add.getLhs()) &&
         isOperand(add.getRhs()) &&
         op.getBody()->getTerminator()->getOperand(0) == add.getResult();
}

/// The projection that `sum` adds to something else, if nobody else reads it.
static prune::ProjectByOp findProjected(linalg::GenericOp sum) {
  for (Value input : sum.getInputs())
    if (auto project = input.getDefiningOp<prune::ProjectByOp>();
        project && !project.getInto() && project->hasOneUse() &&
        input.getType() == sum.getResult(0).getType())
      return project;
  return {};
}

namespace {
struct PruneSinkRoutes : coppice::impl::PruneSinkRoutesBase<PruneSinkRoutes> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> sums;
    getOperation()->walk([&](linalg::GenericOp op) {
      if (isSum(op))
        sums.push_back(op);
    });
    for (linalg::GenericOp sum : sums) {
      prune::ProjectByOp project = findProjected(sum);
      if (!project)
        continue;
      Value residual = sum.getInputs()[0] == project.getResult()
                           ? sum.getInputs()[1]
                           : sum.getInputs()[0];
      sum->replaceUsesOfWith(project, project.getInput());
      OpBuilder builder(sum.getContext());
      builder.setInsertionPointAfter(sum);
      auto sunk = prune::ProjectByOp::create(
          builder, project.getLoc(), residual.getType(), project.getSite(),
          sum.getResult(0), project.getMask(), residual);
      if (Attribute kept = sum->getDiscardableAttr("prune.kept"))
        sunk->setDiscardableAttr("prune.kept", kept);
      sum.getResult(0).replaceAllUsesExcept(sunk, sunk);
      project.erase();
      ++sunkBelow;
    }
  }
};
} // namespace
