// decoder.rms_norm: rows move both ways; columns only down, where the divisor
// of the dense norm stays. Where heads are normed each by itself, whole heads
// move both ways, and the gains, which all heads share, stay.
#include "Rules.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;
using namespace coppice::decoder;

/// Is `set`, of columns, one of heads that are normed each by itself?
static bool keepsWholeHeads(RMSNormOp norm, SetAttr set) {
  return norm.getHeadDimAttr() && set.coarsen(norm.getHeadDimAttr().getInt());
}

namespace {
/// Rows, and whole heads of a norm of heads; else a column of the result
/// depends on all columns of the input.
struct RestrictUpNorm : RestrictUp<RMSNormOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, RMSNormOp norm,
                       PatternRewriter &rewriter) const override {
    int64_t axis = op.getAxis();
    if (axis != 0 && !keepsWholeHeads(norm, op.getKeep()))
      return rewriter.notifyMatchFailure(op,
                                         "a norm needs all columns of a row, "
                                         "or of each head that is left");
    return moveUpShared(op, norm, rewriter, [&] {
      SmallVector<Value> operands(norm->getOperands());
      operands[0] =
          restrict(rewriter, norm.getLoc(), operands[0], axis, op.getKeep());
      return operands;
    });
  }
};

/// rms_norm(E x, g) = E rms_norm(x, S g): the divisor is an attribute and
/// stays. Of heads: rms_norm(E x, g) = E rms_norm(x, g).
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
    bool ofHeads = norm.getHeadDimAttr() != nullptr;
    // A head of zeros is 0 / sqrt(epsilon).
    if (axis == 1 && ofHeads &&
        (!keepsWholeHeads(norm, set) || norm.getEpsilon().isZero()))
      return rewriter.notifyMatchFailure(norm,
                                         "the set does not keep whole heads, "
                                         "or a head of zeros has no norm");
    Value gain = axis == 1 && !ofHeads
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
