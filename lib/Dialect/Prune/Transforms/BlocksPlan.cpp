// In: decisions that leave attentions some blocks of positions. Out: for each
// attention a `prune.select_blocks` between what makes its queries and keys and
// the attention, which reads the lists; or a threshold on the attention, below
// which blocks are dropped; or both.
#include "BlocksPlan.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include <cmath>

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

/// U and V of a scorer, as `prune.select_blocks` says.
static SmallVector<PlannedWeight> weightsOfScorer(BlocksOp op,
                                                  const Sublayer &sublayer) {
  auto attention = cast<decoder::AttentionOp>(sublayer.attention);
  int64_t heads = attention.getKvHeads(), headDim = attention.getHeadDim(),
          width = attention.getQueryHeads() / heads * headDim,
          rank = op.getScorerAttr().getInt();
  auto weight = [&](const char *name, int64_t columns) -> PlannedWeight {
    return {sublayer.name + ".scorer." + name + ".weight",
            {heads * rank, columns},
            1 / std::sqrt(static_cast<double>(columns))};
  };
  return {weight("query", width), weight("key", 3 * headDim)};
}

LogicalResult BlocksPlan::checkFile(BlocksOp op, const Sublayer &sublayer) {
  if (!op.getFile())
    return success();
  return checkPlannedWeights(op, *op.getFile(), weightsOfScorer(op, sublayer),
                             getStorage(sublayer), files, options.directory);
}

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
    if (failed(checkFile(op, sublayer)))
      return failure();
    decisions[index] = op;
  }
  return success();
}

SelectBlocksOp BlocksPlan::writeLists(const Sublayer &sublayer,
                                      BlocksOp decision) {
  auto attention = cast<decoder::AttentionOp>(sublayer.attention);
  OpBuilder builder(attention);
  bool isScored = decision.getTop() > 0;
  SmallVector<Value> weights(2);
  if (decision.getScorerAttr()) {
    PlannedWeightWriter writer(module, getStorage(sublayer),
                               decision.getFileAttr(), options.openSources);
    for (auto [number, weight] :
         llvm::enumerate(weightsOfScorer(decision, sublayer)))
      weights[number] = writer.load(builder, decision.getLoc(), weight);
  }
  auto perHead = static_cast<int64_t>(decision.getLastBlocks() +
                                      decision.getFirst() + decision.getTop());
  auto type =
      RankedTensorType::get({attention.getQuery().getType().getDimSize(0),
                             attention.getKvHeads() * perHead},
                            builder.getI32Type());
  return SelectBlocksOp::create(
      builder, decision.getLoc(), type,
      builder.getStringAttr(sublayer.name + ".blocks"),
      isScored ? Value(attention.getQuery()) : Value(),
      isScored ? Value(attention.getKeys()) : Value(), weights[0], weights[1],
      attention.getSlots(), attention.getPositions(),
      decision.getBlockSizeAttr(),
      builder.getI64IntegerAttr(decision.getLastBlocks()),
      decision.getFirstAttr(), decision.getTopAttr(),
      isScored ? attention.getHeadDimAttr() : IntegerAttr(),
      attention.getWindowAttr());
}

void BlocksPlan::write(const Sublayer &sublayer, BlocksOp decision) {
  auto attention = cast<decoder::AttentionOp>(sublayer.attention);
  if (decision.hasLists()) {
    attention.getBlocksMutable().assign(
        writeLists(sublayer, decision).getBlocks());
    attention.setBlockSizeAttr(decision.getBlockSizeAttr());
  }
  if (decision.getThreshold()) {
    Builder builder(attention.getContext());
    attention.setDropBelowAttr(builder.getF32FloatAttr(
        static_cast<float>(decision.getThreshold()->convertToDouble())));
    attention.setDropSizeAttr(decision.getBlockSizeAttr());
  }
}

int64_t BlocksPlan::apply() {
  for (auto &[index, decision] : decisions)
    write(sublayers[index], decision);
  return static_cast<int64_t>(decisions.size());
}
