// decoder.lookup: columns are the table's, rows the indices'.
#include "Rules.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;
using namespace coppice::decoder;

namespace {
/// Columns are the table's, rows the indices'.
struct RestrictUpLookup : RestrictUp<LookupOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, LookupOp lookup,
                       PatternRewriter &rewriter) const override {
    int64_t axis = op.getAxis();
    return moveUpShared(op, lookup, rewriter, [&] {
      SmallVector<Value> operands(lookup->getOperands());
      operands[axis] = restrict(rewriter, lookup.getLoc(), operands[axis], axis,
                                op.getKeep());
      return operands;
    });
  }
};

/// lookup(i, E t) = E lookup(i, t) along the columns, lookup(E i, ..) never: an
/// index of zero is not a row of zeros.
struct ExtendDownLookup : CountedRule<LookupOp> {
  using CountedRule::CountedRule;

  LogicalResult matchAndRewrite(LookupOp lookup,
                                PatternRewriter &rewriter) const override {
    auto extend = lookup.getTable().getDefiningOp<ExtendOp>();
    if (!extend || extend.getAxis() != 1 || extend.getKeep().isEmpty())
      return rewriter.notifyMatchFailure(lookup,
                                         "the table's columns are whole");
    SetAttr set = extend.getKeep();
    auto narrow = cloneNarrow(rewriter, lookup,
                              {lookup.getIndices(), extend.getInput()}, 1, set);
    rewriter.replaceOpWithNewOp<ExtendOp>(lookup, narrow.getResult(), 1, set);
    ++counts.extendsMoved;
    return success();
  }
};
} // namespace

void propagate::addLookupRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<RestrictUpLookup, ExtendDownLookup>(rules.getContext(), counts);
}
