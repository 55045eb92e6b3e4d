// In: decisions that leave attentions some blocks of positions. Out: for each
// attention a `prune.select_blocks` between what makes its queries and keys and
// the attention, which reads the lists.
#include "BlocksPlan.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

LogicalResult BlocksPlan::read(BlocksOp op, ArrayRef<size_t> indices) {
  for (size_t index : indices) {
    const Sublayer &sublayer = sublayers[index];
    if (!sublayer.attention)
      return op.emitOpError()
             << "expected sublayers with attention, such as 'layers."
             << sublayer.layer << ".attn', found '" << sublayer.name << "'";
    if (BlocksOp present = decisions.lookup(index)) {
      InFlightDiagnostic diagnostic = op.emitOpError()
                                      << "blocks of '" << sublayer.name
                                      << "' are decided about twice";
      diagnostic.attachNote(present.getLoc())
          << "the other decision, about '" << present.getSites()
          << "', is here";
      return diagnostic;
    }
    decisions[index] = op;
  }
  return success();
}

static void write(const Sublayer &sublayer, BlocksOp decision) {
  auto attention = cast<decoder::AttentionOp>(sublayer.attention);
  OpBuilder builder(attention);
  bool isScored = decision.getTop() > 0;
  auto perHead = static_cast<int64_t>(decision.getRecent() +
                                      decision.getFirst() + decision.getTop());
  auto type =
      RankedTensorType::get({attention.getQuery().getType().getDimSize(0),
                             attention.getKvHeads() * perHead},
                            builder.getI32Type());
  auto lists = SelectBlocksOp::create(
      builder, decision.getLoc(), type,
      builder.getStringAttr(sublayer.name + ".blocks"),
      isScored ? Value(attention.getQuery()) : Value(),
      isScored ? Value(attention.getKeys()) : Value(), attention.getSlots(),
      attention.getPositions(), decision.getBlockSizeAttr(),
      decision.getRecentAttr(), decision.getFirstAttr(), decision.getTopAttr(),
      isScored ? attention.getHeadDimAttr() : IntegerAttr(),
      attention.getWindowAttr());
  attention.getBlocksMutable().assign(lists.getBlocks());
  attention.setBlockSizeAttr(decision.getBlockSizeAttr());
}

int64_t BlocksPlan::apply() {
  for (auto &[index, decision] : decisions)
    write(sublayers[index], decision);
  return static_cast<int64_t>(decisions.size());
}
