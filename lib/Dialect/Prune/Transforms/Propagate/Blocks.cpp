// prune.select_blocks: the lists of a KV head are columns, which move with its
// queries and keys.
#include "Rules.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;

namespace {
/// Whole KV heads, each with all of its query heads: a score is a sum over
/// these. Rows do not move: some of them choose together.
struct RestrictUpSelectBlocks : RestrictUp<SelectBlocksOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, SelectBlocksOp select,
                       PatternRewriter &rewriter) const override {
    if (op.getAxis() != 1)
      return rewriter.notifyMatchFailure(
          op, "rows that choose blocks together stay together");
    SetAttr heads = op.getKeep().coarsen(select.getBlocksPerHead());
    if (!heads)
      return rewriter.notifyMatchFailure(op,
                                         "the set does not keep whole heads");
    return moveUpShared(op, select, rewriter, [&] {
      SmallVector<Value> operands(select->getOperands());
      if (!select.getQuery())
        return operands;
      auto keepHeads = [&](unsigned number, int64_t axis) {
        int64_t extent =
            cast<RankedTensorType>(operands[number].getType()).getDimSize(axis);
        operands[number] =
            restrict(rewriter, select.getLoc(), operands[number], axis,
                     SetAttr::fromIndices(
                         op.getContext(), heads.getGranuleIndices(),
                         select.getKvHeads(), extent / select.getKvHeads()));
      };
      keepHeads(0, 1); // query
      keepHeads(1, 2); // keys
      if (select.getQueryWeight()) {
        keepHeads(2, 0);
        keepHeads(3, 0);
      }
      return operands;
    });
  }
};
} // namespace

void propagate::addBlocksRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<RestrictUpSelectBlocks>(rules.getContext(), counts);
}
