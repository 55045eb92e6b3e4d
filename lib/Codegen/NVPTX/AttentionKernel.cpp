//===- AttentionKernel.cpp - causal attention over a KV cache -------------===//
//
// In: a kernel that is one `decoder.attention`. Out: code for a GPU.
//
// "attention": a warp attends for one row and one query head (AttentionRow.h).
// It takes everything, is as right as it is simple, and what the other ways are
// compared with. The warps of a block have neighbouring heads: those that share
// a KV head find its keys and values in the L1 cache.
//
// A work item is one row by as many heads as the block has warps. Rows are
// numbers in their lists, where there are some. Causal work grows with the
// position, so the last rows come first: what is left for the end is small.
//
//===----------------------------------------------------------------------===//

#include "AttentionRow.h"
#include "AttentionStages.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

constexpr int64_t kThreads = 128;

class AttentionEmitter : AttentionBuilder {
public:
  AttentionEmitter(ImplicitLocOpBuilder &b, KernelShell &shell,
                   decoder::AttentionOp op)
      : AttentionBuilder(b, shell, op), attention(b, shell, op) {}

  void emit() {
    int64_t warps = shell.threads / 32;
    int64_t items = llvm::divideCeil(queryHeads, warps); // of a row
    forEachItem([&](Value item) {
      item = sub(sub(shell.items, i32(1)), item);
      Value head = add(mul(rem(item, items), warps), warp());
      ifThen(less(head, i32(queryHeads)),
             [&] { emitHead(div(item, items), head); });
    });
  }

private:
  void emitHead(Value number, Value head) {
    auto attend = [&] {
      AttentionRow::Place place = attention.placeOf(rowAt(number, head), head);
      attention.storeResult(place, attention.attend(place));
    };
    if (op.getRowList())
      ifThen(less(number, countRows(head)), attend);
    else
      attend();
  }

  AttentionRow attention;
};

} // namespace

int64_t headsOfUnit(decoder::AttentionOp attention) {
  int64_t units = attention.getKvHeads();
  if (Value list = attention.getRowList())
    if (auto type = cast<RankedTensorType>(list.getType()); type.getRank() == 2)
      units = std::max(units, type.getDimSize(0));
  return attention.getQueryHeads() / units;
}

/// Copies are of 16 bytes, and the largest score is to be that of the largest
/// product. What a threshold drops is for each row and head to say, not for
/// tiles of them.
bool suitsMatrices(decoder::AttentionOp attention, int64_t lines) {
  Type type = getElementTypeOrSelf(attention.getKeys());
  return (type.isBF16() || type.isF16()) && attention.getHeadDim() % 8 == 0 &&
         attention.getHeadDim() <= 256 &&
         attention.getScale().convertToFloat() > 0 &&
         !attention.getDropBelowAttr() && headsOfUnit(attention) <= lines;
}

/// Positions of a tile: 64, but for heads wider than `widest`, for which there
/// would be too few registers or too little shared memory. A tile never reaches
/// into a further block of a list.
static int64_t keysOfTile(decoder::AttentionOp attention, uint64_t widest) {
  int64_t keys = attention.getHeadDim() > widest ? 32 : 64;
  if (std::optional<uint64_t> size = attention.getBlockSize())
    keys = std::min<int64_t>(keys, llvm::alignTo(*size, 16));
  return keys;
}

/// All rows at once, or many.
static KernelPlan planMany(func::FuncOp kernel, decoder::AttentionOp attention,
                           AffineExpr extent) {
  MLIRContext *context = kernel.getContext();
  constexpr int64_t kLines = kThreads / 32 * 16;
  if (!suitsMatrices(attention, kLines)) {
    int64_t items = llvm::divideCeil(attention.getQueryHeads(), kThreads / 32);
    return planAlways(kernel,
                      makeConfig(context, kAttention, {{"threads", kThreads}}),
                      makeGrid(extent * items));
  }
  int64_t heads = headsOfUnit(attention), rows = kLines / heads;
  return planAlways(
      kernel,
      makeConfig(context, kAttentionMma,
                 {{"threads", kThreads},
                  {"rows", rows},
                  {"keys", keysOfTile(attention, 128)}}),
      makeGrid(extent.ceilDiv(rows) * (attention.getQueryHeads() / heads)));
}

/// Few rows, in two stages.
static KernelVariant planFew(func::FuncOp kernel,
                             decoder::AttentionOp attention,
                             AffineExpr extent) {
  // As many rows as sequences that decode together, say: what blocks of rows
  // could share are prompts' keys, and a prompt of so few rows is short work. A
  // list of blocks may be short, and a chunk is a block at least.
  constexpr int64_t kFewRows = 64, kSplits = 32, kMostLines = 64;
  int64_t splits = kSplits;
  if (int64_t blocks = attention.getBlocksPerHead())
    splits = std::min(splits, blocks);
  int64_t queryHeads = attention.getQueryHeads(),
          heads = headsOfUnit(attention);
  int64_t perBlock = llvm::divideCeil(queryHeads, kThreads / 32);
  bool byMatrices = suitsMatrices(attention, kMostLines);

  KernelVariant split;
  split.guard = makeGrid(kFewRows + 1 - extent);
  auto addStage = [&](StringRef strategy, StringRef suffix, int64_t threads,
                      AffineExpr grid) {
    split.stages.push_back({makeConfig(kernel.getContext(), strategy,
                                       {{"threads", threads},
                                        {"splits", splits},
                                        {"keys", keysOfTile(attention, 64)},
                                        {"matrices", byMatrices}}),
                            makeGrid(grid), suffix.str()});
  };
  if (byMatrices)
    addStage(kAttentionSplit, "split", 32 * llvm::divideCeil(heads, 16),
             extent * (queryHeads / heads * splits));
  else
    addStage(kAttentionSplit, "split", kThreads, extent * (perBlock * splits));
  addStage(kAttentionMerge, "merge", kThreads, extent * perBlock);
  split.workspace = makeGrid(getAffineConstantExpr(
      kFewRows * queryHeads * splits *
          AttentionBuilder::partialWidth(attention.getHeadDim()) *
          int64_t(sizeof(float)),
      kernel.getContext()));
  return split;
}

PlanOrNone planAttention(func::FuncOp kernel) {
  auto attention = getOnlyOp<decoder::AttentionOp>(kernel);
  if (!attention)
    return std::nullopt;
  FailureOr<AffineExpr> extent = getArgumentExtent(
      kernel, cast<BlockArgument>(attention.getQuery()).getArgNumber(), 0);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());
  KernelPlan plan = planMany(kernel, attention, *extent);
  // What is dropped depends on the blocks before it: there are no chunks.
  if (!attention.getDropBelowAttr())
    plan.variants.insert(plan.variants.begin(),
                         planFew(kernel, attention, *extent));
  return FailureOr<KernelPlan>(plan);
}

LogicalResult emitAttention(func::FuncOp kernel) {
  StringRef strategy = getStrategy(kernel);
  auto attention = getOnlyOp<decoder::AttentionOp>(kernel);
  if (!attention)
    return kernel.emitError() << "expected one 'decoder.attention' in a kernel "
                                 "of strategy \""
                              << strategy << "\"";
  if (strategy == kAttentionMma)
    return emitAttentionMma(kernel, attention);
  if (strategy == kAttentionSplit)
    return emitAttentionSplit(kernel, attention);
  if (strategy == kAttentionMerge)
    return emitAttentionMerge(kernel, attention);
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  shell->setResidentBlocks(1);
  AttentionEmitter(builder, *shell, attention).emit();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
