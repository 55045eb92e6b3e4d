// prune.project_by: columns move both ways where the mask is of rows, and where
// what moves is the set that groups of columns are counted among.
#include "Rules.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;

/// Does each column that `set` keeps have the same group with and without the
/// others?
static bool movesColumns(ProjectByOp op, SetAttr set) {
  if (!op.getGroupSize())
    return true;
  return op.getAmongAttr() && op.getAmongAttr().keepsSameAs(set);
}

namespace {
struct RestrictUpProjectBy : RestrictUp<ProjectByOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, ProjectByOp below,
                       PatternRewriter &rewriter) const override {
    if (op.getAxis() != 1 || !movesColumns(below, op.getKeep()))
      return rewriter.notifyMatchFailure(
          op, "only columns move, those that groups are counted among");
    if (below.getAmongAttr() && !findShared(op))
      return rewriter.notifyMatchFailure(op, "not all users restrict it so");
    if (below.getAmongAttr())
      rewriter.modifyOpInPlace(below, [&] { below.removeAmongAttr(); });
    return moveUpShared(op, below, rewriter, [&] {
      auto narrow = [&](Value value) {
        return restrict(rewriter, below.getLoc(), value, 1, op.getKeep());
      };
      SmallVector<Value> operands(below->getOperands());
      operands[0] = narrow(operands[0]);
      if (below.getInto())
        operands.back() = narrow(operands.back());
      return operands;
    });
  }
};

/// P_m (E x) = E (P_m x), where the mask puts zeros.
struct ExtendDownProjectBy : CountedRule<ProjectByOp> {
  using CountedRule::CountedRule;

  LogicalResult matchAndRewrite(ProjectByOp op,
                                PatternRewriter &rewriter) const override {
    auto extend = op.getInput().getDefiningOp<ExtendOp>();
    if (!extend || extend.getAxis() != 1 ||
        !movesColumns(op, extend.getKeep()) || op.getInto())
      return rewriter.notifyMatchFailure(
          op, "the columns of the input are whole, or not those that groups "
              "are counted among, or there is an 'into'");
    SetAttr set = extend.getKeep();
    auto narrow =
        cloneNarrow(rewriter, op, {extend.getInput(), op.getMask()}, 1, set);
    narrow.removeAmongAttr();
    rewriter.replaceOpWithNewOp<ExtendOp>(op, narrow.getResult(), 1, set);
    ++counts.extendsMoved;
    return success();
  }
};
} // namespace

void propagate::addRouteRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<RestrictUpProjectBy, ExtendDownProjectBy>(rules.getContext(),
                                                      counts);
}
