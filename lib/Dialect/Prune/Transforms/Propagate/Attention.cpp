// decoder.attention: heads are pruned with the columns of caches that they
// read and with their lists of blocks, rows with their slots and positions.
#include "Rules.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;
using namespace coppice::decoder;

namespace {
/// Heads: as many query heads in each KV head that is left, so that query heads
/// still find theirs. Rows: queries with their slots and positions.
struct RestrictUpAttention : RestrictUp<AttentionOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, AttentionOp attention,
                       PatternRewriter &rewriter) const override {
    Location loc = attention.getLoc();
    SetAttr set = op.getKeep();
    SmallVector<Value> operands(attention->getOperands());
    if (op.getAxis() == 0)
      return moveUpShared(op, attention, rewriter, [&] {
        for (unsigned i : {0, 3, 4}) // query, slots, positions
          operands[i] = restrict(rewriter, loc, operands[i], 0, set);
        if (attention.getBlocks())
          operands.back() = restrict(rewriter, loc, operands.back(), 0, set);
        return operands;
      });
    SetAttr kvHeads = findKVHeads(attention, set);
    if (!kvHeads)
      return rewriter.notifyMatchFailure(op,
                                         "the set does not keep whole heads, "
                                         "equally many in each KV head left");
    return moveUpShared(op, attention, rewriter, [&] {
      operands[0] = restrict(rewriter, loc, operands[0], 1, set);
      for (unsigned i : {1, 2}) // keys, values
        operands[i] = restrict(rewriter, loc, operands[i], 2, kvHeads);
      if (attention.getBlocks())
        operands.back() =
            restrict(rewriter, loc, operands.back(), 1,
                     SetAttr::fromIndices(
                         set.getContext(), kvHeads.getGranuleIndices(),
                         attention.getKvHeads(), attention.getBlocksPerHead()));
      return operands;
    });
  }

private:
  /// The KV heads, as columns of the caches, that the query columns `set` need.
  static SetAttr findKVHeads(AttentionOp attention, SetAttr set) {
    int64_t headDim = attention.getHeadDim(),
            group = attention.getQueryHeads() / attention.getKvHeads();
    SetAttr heads = set.coarsen(headDim);
    if (!heads)
      return {};
    SmallVector<int64_t> kvHeads, sizes; // sizes: kept query heads of each
    for (int64_t head : heads.getGranuleIndices()) {
      if (kvHeads.empty() || kvHeads.back() != head / group) {
        kvHeads.push_back(head / group);
        sizes.push_back(0);
      }
      ++sizes.back();
    }
    if (!llvm::all_equal(sizes))
      return {};
    return SetAttr::fromIndices(set.getContext(), kvHeads,
                                attention.getKvHeads(), headDim);
  }
};
} // namespace

void propagate::addAttentionRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<RestrictUpAttention>(rules.getContext(), counts);
}
