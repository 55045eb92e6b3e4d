// decoder.append: caches become narrower as a whole, or go, where nothing reads
// them any more.
#include "Rules.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;
using namespace coppice::decoder;

namespace {
/// Columns: what is appended and the cache. A cache that is the function's own
/// state, an argument whose update is returned, becomes narrower as a whole.
struct RestrictUpAppend : RestrictUp<AppendOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, AppendOp append,
                       PatternRewriter &rewriter) const override {
    if (op.getAxis() != 2)
      return rewriter.notifyMatchFailure(op,
                                         "only columns of a cache are pruned");
    std::optional<SharedRestriction> shared =
        findShared(op, /*allowReturns=*/true);
    if (!shared)
      return rewriter.notifyMatchFailure(
          op, "not all users restrict the cache in the same way");
    SetAttr set = op.getKeep();
    SmallVector<Value> operands(append->getOperands());
    if (!shared->returns.empty()) {
      auto state = findState(append, *shared);
      if (!state)
        return rewriter.notifyMatchFailure(
            op, "the returned cache is not the state of a step");
      narrowState(rewriter, state, set);
    } else {
      operands[1] = restrict(rewriter, append.getLoc(), operands[1], 2, set);
    }
    operands[0] = restrict(rewriter, append.getLoc(), operands[0], 1, set);
    auto narrow = cloneNarrow(rewriter, append, operands, 2, set);
    replaceShared(rewriter, *shared, narrow.getResult());
    for (OpOperand *use : shared->returns)
      rewriter.modifyOpInPlace(use->getOwner(),
                               [&] { use->set(narrow.getResult()); });
    if (!shared->returns.empty())
      updateFunctionType(rewriter, cast<func::FuncOp>(narrow->getParentOp()));
    rewriter.eraseOp(append);
    return success();
  }

  /// Makes a function's type agree with its arguments and its return.
  static void updateFunctionType(RewriterBase &rewriter,
                                 func::FuncOp function) {
    Block &entry = function.getBody().front();
    auto type =
        FunctionType::get(function.getContext(), entry.getArgumentTypes(),
                          entry.getTerminator()->getOperandTypes());
    rewriter.modifyOpInPlace(function, [&] { function.setFunctionType(type); });
  }

private:
  /// The cache argument that `append` updates, if the step returns it once and
  /// nothing else uses it; null else.
  BlockArgument findState(AppendOp append,
                          const SharedRestriction &shared) const {
    if (!counts.mayChangeSignature)
      return {};
    auto argument = dyn_cast<BlockArgument>(append.getCache());
    auto function = dyn_cast<func::FuncOp>(append->getParentOp());
    if (!argument || !function || !argument.hasOneUse() ||
        shared.returns.size() != 1 || !function.getBody().hasOneBlock())
      return {};
    bool isCache =
        !!function.getArgAttr(argument.getArgNumber(), kCacheAttrName);
    return isCache ? argument : BlockArgument();
  }

  void narrowState(PatternRewriter &rewriter, BlockArgument state,
                   SetAttr set) const {
    auto function = cast<func::FuncOp>(state.getOwner()->getParentOp());
    Attribute kept =
        function.getArgAttr(state.getArgNumber(), PruneDialect::keptAttrName);
    rewriter.modifyOpInPlace(function, [&] {
      state.setType(narrowType(state.getType(), 2, set));
      function.setArgAttr(state.getArgNumber(), PruneDialect::keptAttrName,
                          composeKept(function.getContext(), kept, 2, set));
    });
    ++counts.cachesNarrowed;
  }
};
} // namespace

void propagate::addCacheRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<RestrictUpAppend>(rules.getContext(), counts);
}

void propagate::removeDeadCaches(func::FuncOp function, Counts &counts) {
  Block &entry = function.getBody().front();
  auto terminator = cast<func::ReturnOp>(entry.getTerminator());
  BitVector deadArguments(entry.getNumArguments()),
      deadResults(terminator.getNumOperands());
  for (BlockArgument argument : entry.getArguments()) {
    if (!function.getArgAttr(argument.getArgNumber(), kCacheAttrName) ||
        !argument.hasOneUse())
      continue;
    auto append = dyn_cast<AppendOp>(*argument.user_begin());
    if (!append || append.getCache() != argument || !append->hasOneUse())
      continue;
    OpOperand &use = *append->use_begin();
    if (use.getOwner() != terminator)
      continue;
    deadArguments.set(argument.getArgNumber());
    deadResults.set(use.getOperandNumber());
  }
  if (deadArguments.none())
    return;
  counts.cachesRemoved += deadArguments.count();
  SmallVector<Operation *> appends;
  for (unsigned i : deadArguments.set_bits())
    appends.push_back(*entry.getArgument(i).user_begin());
  terminator->eraseOperands(deadResults);
  for (Operation *append : appends)
    append->erase();
  (void)function.eraseArguments(deadArguments);
  (void)function.eraseResults(deadResults);
}
