// prune.project_by, of one group of columns: columns move both ways, for the
// mask is of rows.
#include "Rules.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;

/// Does the mask have nothing to do with columns?
static bool masksRows(ProjectByOp op) {
  return op.getMask().getType().getDimSize(1) == 1;
}

namespace {
struct RestrictUpProjectBy : RestrictUp<ProjectByOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, ProjectByOp below,
                       PatternRewriter &rewriter) const override {
    if (op.getAxis() != 1 || !masksRows(below))
      return rewriter.notifyMatchFailure(
          op, "only columns move, above a mask of rows");
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
    if (!extend || extend.getAxis() != 1 || !masksRows(op) || op.getInto())
      return rewriter.notifyMatchFailure(
          op, "the columns of the input are whole, or there is an 'into'");
    SetAttr set = extend.getKeep();
    auto narrow =
        cloneNarrow(rewriter, op, {extend.getInput(), op.getMask()}, 1, set);
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
