// prune.gemm: a restriction of columns or rows is a thinner weight or fewer
// input rows; an extension of the input is a shorter reduction or fewer rows.
#include "Rules.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;

namespace {
/// S_N (A W^T) = A (S W)^T and S_M (A W^T) = (S A) W^T; what the epilogue reads
/// follows.
struct RestrictUpGemm : RestrictUp<GemmOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, GemmOp gemm,
                       PatternRewriter &rewriter) const override {
    if (gemm.hasSets())
      return rewriter.notifyMatchFailure(gemm, "a set may name what would go");
    Location loc = gemm.getLoc();
    int64_t axis = op.getAxis();
    SetAttr set = op.getKeep();
    return moveUpShared(op, gemm, rewriter, [&] {
      SmallVector<Value> operands(gemm->getOperands());
      Value &followed = operands[axis == 0 ? 0 : 1];
      followed = restrict(rewriter, loc, followed, 0, set);
      for (Value &extra : llvm::MutableArrayRef(operands).drop_front(2)) {
        bool isVector = cast<RankedTensorType>(extra.getType()).getRank() == 1;
        if (!isVector)
          extra = restrict(rewriter, loc, extra, axis, set);
        else if (axis == 1)
          extra = restrict(rewriter, loc, extra, 0, set);
      }
      return operands;
    });
  }
};

/// (E_K A) W^T = A (S_K W)^T, and (E_M A) W^T = E_M (A W^T) without an
/// epilogue.
struct ExtendDownGemm : CountedRule<GemmOp> {
  using CountedRule::CountedRule;

  LogicalResult matchAndRewrite(GemmOp gemm,
                                PatternRewriter &rewriter) const override {
    auto extend = gemm.getInput().getDefiningOp<ExtendOp>();
    if (!extend || extend.getKeep().hasDynamicCount() ||
        extend.getKeep().isEmpty())
      return rewriter.notifyMatchFailure(gemm, "the input is not extended");
    if (gemm.hasSets())
      return rewriter.notifyMatchFailure(gemm, "a set may name what would go");
    SetAttr set = extend.getKeep();
    if (extend.getAxis() == 1) {
      Value weight =
          restrict(rewriter, gemm.getLoc(), gemm.getWeight(), 1, set);
      rewriter.modifyOpInPlace(gemm, [&] {
        gemm.getInputMutable().assign(extend.getInput());
        gemm.getWeightMutable().assign(weight);
      });
    } else {
      if (gemm.hasEpilogue())
        return rewriter.notifyMatchFailure(
            gemm, "an epilogue may turn zeros into something else");
      auto narrow = cloneNarrow(rewriter, gemm,
                                {extend.getInput(), gemm.getWeight()}, 0, set);
      rewriter.replaceOpWithNewOp<ExtendOp>(gemm, narrow.getResult(), 0, set);
    }
    ++counts.extendsMoved;
    return success();
  }
};
} // namespace

void propagate::addGemmRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<RestrictUpGemm, ExtendDownGemm>(rules.getContext(), counts);
}
