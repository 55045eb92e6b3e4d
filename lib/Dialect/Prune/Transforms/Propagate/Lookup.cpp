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
} // namespace

void propagate::addLookupRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<RestrictUpLookup>(rules.getContext(), counts);
}
