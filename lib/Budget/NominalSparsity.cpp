// Comes in: a dense module with a plan, a share of its work. Goes out: the
// sparsity by which a family removes that share.
//
// What a plan removes is counted, not estimated: it is applied to a copy, which
// is propagated, and what is left is weighed. The share never falls as sparsity
// grows, so that bisection finds the step at which it passes the budget.
#include "coppice/Budget/NominalSparsity.h"

#include "coppice/Analysis/Work.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"

#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>

using namespace mlir;
using namespace coppice;

namespace {
class SparsitySearch {
public:
  SparsitySearch(ModuleOp module, const Budget &budget,
                 DecideForSparsity decide)
      : module(module), budget(budget), decide(decide),
        dense(weigh(countWork(module))) {}

  FailureOr<NominalSparsity> run();

private:
  double weigh(const Work &work) const {
    return budget.unit == BudgetUnit::Parameters
               ? static_cast<double>(work.parameters)
               : work.prefill(budget.tokens).flops;
  }
  FailureOr<NominalSparsity> measure(double sparsity);

  ModuleOp module;
  const Budget &budget;
  DecideForSparsity decide;
  double dense;
};
} // namespace

FailureOr<NominalSparsity> SparsitySearch::measure(double sparsity) {
  OwningOpRef<ModuleOp> copy = module.clone();
  if (failed(decide(*copy, sparsity)))
    return failure();
  PassManager passes(module.getContext());
  prune::PruneApplyPlanOptions apply;
  apply.openSources = true; // so that no weight is asked for
  passes.addPass(prune::createPruneApplyPlan(apply));
  passes.addPass(prune::createPruneExpandReplaced());
  passes.addPass(prune::createPrunePropagate());
  passes.addPass(prune::createPruneFoldRestricts());
  if (failed(passes.run(*copy)))
    return failure();
  return NominalSparsity{sparsity, 1 - weigh(countWork(*copy)) / dense};
}

FailureOr<NominalSparsity> SparsitySearch::run() {
  FailureOr<NominalSparsity> below = measure(0),
                             above = measure(budget.most - 1e-6);
  if (failed(below) || failed(above))
    return failure();
  auto percent = [](double share) { return 1e-2 * std::round(1e4 * share); };
  if (above->share < budget.share || budget.share < below->share)
    return emitError(UnknownLoc::get(module.getContext()))
           << "expected a share of the "
           << (budget.unit == BudgetUnit::Parameters ? "parameters" : "FLOPs")
           << " that this plan can remove, from " << percent(below->share)
           << " % to " << percent(above->share) << " %, found "
           << percent(budget.share) << " %";
  // 2^-20 is less than one channel of a million.
  for (int step = 0; step < 20; ++step) {
    FailureOr<NominalSparsity> middle =
        measure((below->sparsity + above->sparsity) / 2);
    if (failed(middle))
      return failure();
    (middle->share < budget.share ? below : above) = middle;
    if (below->share == above->share)
      break;
  }
  return budget.share - below->share <= above->share - budget.share ? below
                                                                    : above;
}

FailureOr<NominalSparsity>
coppice::findNominalSparsity(ModuleOp module, const Budget &budget,
                             DecideForSparsity decide) {
  return SparsitySearch(module, budget, decide).run();
}
