//===- PruneSinkRoutes.cpp - projections of routes, where they can be left out
////
// In: a propagated @forward with the projections of routes as plans write them.
// Out: the same, with each where what it leaves out need not be computed:
//
// - `r + P_m x` is `P_m (r + x) into r`: where the mask keeps nothing, the sum
//   is r. So the sum is the only reader of what the sublayer computes, and can
//   become the epilogue of the product that ends it.
// - `r + (P_m x into f)`, f being what stands in for rows that are passed by,
// is
//   `P_m (t + x) into t` with `t = P_(not m) (r + f) into r`: each product
//   updates its own rows of the residual.
// - The product of W and a projection of groups of columns is a product over
//   the rows that each group of K has.
//===----------------------------------------------------------------------===//
#include "RowLists.h"
#include "coppice/Schedule/Passes.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

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

/// The projection of rows that `sum` adds to something else, if nobody else
/// reads it.
static prune::ProjectByOp findProjected(linalg::GenericOp sum) {
  for (Value input : sum.getInputs())
    if (auto project = input.getDefiningOp<prune::ProjectByOp>();
        project && !project.getGroupSize() && !project.getPassed() &&
        project->hasOneUse() && input.getType() == sum.getResult(0).getType())
      return project;
  return {};
}

/// `sum` with `input` in place of what `project` gives, and `residual` in place
/// of what it is added to.
static linalg::GenericOp cloneSum(OpBuilder &builder, linalg::GenericOp sum,
                                  prune::ProjectByOp project, Value input,
                                  Value residual) {
  auto clone = cast<linalg::GenericOp>(builder.clone(*sum));
  for (OpOperand *operand : clone.getDpsInputOperands())
    operand->set(operand->get() == project.getResult() ? input : residual);
  return clone;
}

/// `P (sum) into residual`, of the rows that the mask keeps or of the others.
static Value projectSum(OpBuilder &builder, linalg::GenericOp sum,
                        prune::ProjectByOp project, Value residual,
                        bool passed) {
  auto made = prune::ProjectByOp::create(
      builder, project.getLoc(), residual.getType(), project.getSite(),
      sum.getResult(0), project.getMask(), residual, passed, IntegerAttr(),
      prune::SetAttr());
  if (Attribute kept = sum->getDiscardableAttr("prune.kept"))
    made->setDiscardableAttr("prune.kept", kept);
  return made;
}

/// Sinks the projection that `sum` adds, if there is one.
static bool sink(linalg::GenericOp sum) {
  prune::ProjectByOp project = findProjected(sum);
  if (!project)
    return false;
  Value residual = sum.getInputs()[0] == project.getResult()
                       ? sum.getInputs()[1]
                       : sum.getInputs()[0];
  OpBuilder builder(sum);
  if (Value forecast = project.getInto()) {
    linalg::GenericOp other =
        cloneSum(builder, sum, project, forecast, residual);
    residual = projectSum(builder, other, project, residual, /*passed=*/true);
  }
  linalg::GenericOp own =
      cloneSum(builder, sum, project, project.getInput(), residual);
  Value sunk = projectSum(builder, own, project, residual, /*passed=*/false);
  sum.getResult(0).replaceAllUsesWith(sunk);
  sum.erase();
  project.erase();
  return true;
}

/// Makes products that read a projection of groups of columns, and nothing else
/// does, leave these groups out.
static bool leaveToProducts(prune::ProjectByOp project, RowLists &lists) {
  if (project.getAmongAttr() ||
      project->hasAttr(prune::PruneDialect::fallbackAttrName))
    return false;
  for (OpOperand &use : project->getUses()) {
    auto gemm = dyn_cast<prune::GemmOp>(use.getOwner());
    bool isInput = gemm && !gemm.hasSets() && &use == &gemm.getInputMutable() &&
                   !llvm::is_contained(gemm.getExtras(), use.get());
    if (!isInput && !isa<tensor::DimOp>(use.getOwner()))
      return false;
  }
  prune::CompactOp rows = lists.get(project.getMask(), RowLists::PerGroup);
  for (OpOperand &use : llvm::make_early_inc_range(project->getUses())) {
    use.set(project.getInput());
    auto gemm = dyn_cast<prune::GemmOp>(use.getOwner());
    if (!gemm)
      continue;
    gemm.getRowsMutable().assign(rows.getList());
    gemm.getRowCountMutable().assign(rows.getCount());
    gemm.setRowSides(prune::RowSides::Both);
    gemm.setGroupSize(*project.getGroupSize());
  }
  project.erase();
  return true;
}

namespace {
struct PruneSinkRoutes : coppice::impl::PruneSinkRoutesBase<PruneSinkRoutes> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> sums;
    SmallVector<prune::ProjectByOp> projections;
    getOperation()->walk([&](Operation *op) {
      if (auto sum = dyn_cast<linalg::GenericOp>(op); sum && isSum(sum))
        sums.push_back(sum);
      if (auto project = dyn_cast<prune::ProjectByOp>(op))
        projections.push_back(project);
    });
    RowLists lists;
    for (prune::ProjectByOp project : projections)
      if (project.getGroupSize())
        leftToProducts += leaveToProducts(project, lists);
    for (linalg::GenericOp sum : sums)
      sunkBelow += sink(sum);
  }
};
} // namespace
