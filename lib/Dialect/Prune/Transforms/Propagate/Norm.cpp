// decoder.rms_norm: rows move both ways; columns only down, where the divisor
// of the dense norm stays.
#include "Rules.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;
using namespace coppice::decoder;

namespace {
/// Rows only: a column of the result depends on all columns of the input.
struct RestrictUpNorm : RestrictUp<RMSNormOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, RMSNormOp norm,
                       PatternRewriter &rewriter) const override {
    if (op.getAxis() != 0)
      return rewriter.notifyMatchFailure(op, "a norm needs all columns");
    return moveUpShared(op, norm, rewriter, [&] {
      SmallVector<Value> operands(norm->getOperands());
      operands[0] =
          restrict(rewriter, norm.getLoc(), operands[0], 0, op.getKeep());
      return operands;
    });
  }
};

/// rms_norm(E x, g) = E rms_norm(x, S g): the divisor is an attribute and
/// stays.
struct ExtendDownNorm : CountedRule<RMSNormOp> {
  using CountedRule::CountedRule;

  LogicalResult matchAndRewrite(RMSNormOp norm,
                                PatternRewriter &rewriter) const override {
    auto extend = norm.getInput().getDefiningOp<ExtendOp>();
    if (!extend || extend.getKeep().hasDynamicCount() ||
        extend.getKeep().isEmpty())
      return rewriter.notifyMatchFailure(norm, "the input is not extended");
    int64_t axis = extend.getAxis();
    SetAttr set = extend.getKeep();
    Value gain = axis == 1
                     ? restrict(rewriter, norm.getLoc(), norm.getGain(), 0, set)
                     : norm.getGain();
    auto narrow =
        cloneNarrow(rewriter, norm, {extend.getInput(), gain}, axis, set);
    rewriter.replaceOpWithNewOp<ExtendOp>(norm, narrow.getResult(), axis, set);
    ++counts.extendsMoved;
    return success();
  }
};
} // namespace

void propagate::addNormRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<RestrictUpNorm, ExtendDownNorm>(rules.getContext(), counts);
}
