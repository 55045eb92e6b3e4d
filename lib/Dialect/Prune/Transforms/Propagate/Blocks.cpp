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
      auto widthOf = [](Value value) {
        return cast<RankedTensorType>(value.getType()).getShape().back();
      };
      for (auto [number, axis] : {std::pair(0, 1), std::pair(1, 2)}) {
        int64_t columns = widthOf(operands[number]) / select.getKvHeads();
        operands[number] = restrict(
            rewriter, select.getLoc(), operands[number], axis,
            SetAttr::fromIndices(op.getContext(), heads.getGranuleIndices(),
                                 select.getKvHeads(), columns));
      }
      return operands;
    });
  }
};
} // namespace

void propagate::addBlocksRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<RestrictUpSelectBlocks>(rules.getContext(), counts);
}
