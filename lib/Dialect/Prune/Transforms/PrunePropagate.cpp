// Comes in: a dense program with projections. Goes out: the same program with
// narrow shapes.
//
// A projection P = E S is taken apart. Then two kinds of rules run to a fixed
// point: a restriction S moves above the op whose result it restricts, and an
// extension E moves below the op whose operand it extends. Each step moves one
// of them over one op and never back, so this ends. All rules are exact; where
// none applies, S and E stay where they are, as a gather and a scatter.
//
// The rules are those of Propagate/, one file an op.
#include "Propagate/Rules.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace coppice::prune {
#define GEN_PASS_DEF_PRUNEPROPAGATE
#include "coppice/Dialect/Prune/Transforms/Passes.h.inc"
} // namespace coppice::prune

using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;

/// Erases ops that have no effect and no user, users first.
static void eraseDead(func::FuncOp function) {
  for (Block &block : function.getBody())
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (isOpTriviallyDead(&op))
        op.erase();
}

/// Runs the rules to their fixed point. An attention that is skipped reads the
/// residual until the caches go that it appends to; until then not all who read
/// the residual restrict it, so with them gone the rules have more to do.
static LogicalResult runRules(func::FuncOp function,
                              const FrozenRewritePatternSet &rules,
                              const GreedyRewriteConfig &config,
                              Counts &counts) {
  int64_t removed;
  do {
    removed = counts.cachesRemoved;
    if (failed(applyPatternsGreedily(function, rules, config)))
      return failure();
    eraseDead(function);
    if (counts.mayChangeSignature)
      removeDeadCaches(function, counts);
    eraseDead(function);
  } while (counts.cachesRemoved != removed);
  return success();
}

namespace {
struct PrunePropagatePass
    : coppice::prune::impl::PrunePropagateBase<PrunePropagatePass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTableCollection symbolTables;
    SymbolUserMap users(symbolTables, module);
    Counts counts;
    FrozenRewritePatternSet rules = makeRules(counts);
    GreedyRewriteConfig config;
    // Folding would hoist the constants of op bodies out of them; rules fold
    // what they create.
    config.setMaxIterations(GreedyRewriteConfig::kNoLimit)
        .enableFolding(false)
        .enableConstantCSE(false)
        .setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
    for (auto function : llvm::to_vector(module.getOps<func::FuncOp>())) {
      if (function.isExternal())
        continue;
      counts.mayChangeSignature =
          function.getBody().hasOneBlock() && users.useEmpty(function);
      if (failed(runRules(function, rules, config, counts))) {
        function.emitError() << "projections do not settle";
        return signalPassFailure();
      }
    }
    report(module, counts);
  }

private:
  FrozenRewritePatternSet makeRules(Counts &counts) {
    RewritePatternSet rules(&getContext());
    for (auto add :
         {addProjectionRules, addGemmRules, addAttentionRules, addRotaryRules,
          addNormRules, addLookupRules, addCacheRules, addLinalgRules,
          addRouteRules, addBlocksRules})
      add(rules, counts);
    ProjectOp::getCanonicalizationPatterns(rules, &getContext());
    RestrictOp::getCanonicalizationPatterns(rules, &getContext());
    return rules;
  }

  void report(ModuleOp module, const Counts &counts) {
    numRestrictsMoved += counts.restrictsMoved;
    numExtendsMoved += counts.extendsMoved;
    numSublayersRemoved += counts.sublayersRemoved;
    numCachesNarrowed += counts.cachesNarrowed;
    numCachesRemoved += counts.cachesRemoved;
    module.walk([&](RestrictOp op) {
      Operation *source = op.getInput().getDefiningOp();
      numGathers +=
          source && isa<ml_program::GlobalLoadConstOp, RestrictOp>(source) ? 0
                                                                           : 1;
    });
  }
};
} // namespace
