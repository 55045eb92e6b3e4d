// decoder.rotary: rows move with their angles, columns by whole heads.
#include "Rules.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;
using namespace coppice::decoder;

namespace {
/// Rows with their angles; columns by whole heads.
struct RestrictUpRotary : RestrictUp<RotaryOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, RotaryOp rotary,
                       PatternRewriter &rewriter) const override {
    int64_t axis = op.getAxis();
    if (axis == 1 && !op.getKeep().coarsen(rotary.getHeadDim()))
      return rewriter.notifyMatchFailure(op,
                                         "the set does not keep whole heads");
    return moveUpShared(op, rotary, rewriter, [&] {
      SmallVector<Value> operands(rotary->getOperands());
      operands[0] =
          restrict(rewriter, rotary.getLoc(), operands[0], axis, op.getKeep());
      if (axis == 0)
        operands[1] =
            restrict(rewriter, rotary.getLoc(), operands[1], 0, op.getKeep());
      return operands;
    });
  }
};

/// rotary(E x) = E rotary(x): rows with their angles, columns by whole heads.
struct ExtendDownRotary : CountedRule<RotaryOp> {
  using CountedRule::CountedRule;

  LogicalResult matchAndRewrite(RotaryOp rotary,
                                PatternRewriter &rewriter) const override {
    auto extend = rotary.getInput().getDefiningOp<ExtendOp>();
    if (!extend || extend.getKeep().hasDynamicCount() ||
        extend.getKeep().isEmpty())
      return rewriter.notifyMatchFailure(rotary, "the input is not extended");
    int64_t axis = extend.getAxis();
    SetAttr set = extend.getKeep();
    if (axis == 1 && !set.coarsen(rotary.getHeadDim()))
      return rewriter.notifyMatchFailure(rotary,
                                         "the set does not keep whole heads");
    Value angles = axis == 0 ? restrict(rewriter, rotary.getLoc(),
                                        rotary.getAngles(), 0, set)
                             : Value(rotary.getAngles());
    auto narrow =
        cloneNarrow(rewriter, rotary, {extend.getInput(), angles}, axis, set);
    rewriter.replaceOpWithNewOp<ExtendOp>(rotary, narrow.getResult(), axis,
                                          set);
    ++counts.extendsMoved;
    return success();
  }
};
} // namespace

void propagate::addRotaryRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<RestrictUpRotary, ExtendDownRotary>(rules.getContext(), counts);
}
