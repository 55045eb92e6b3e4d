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

/// Lines of a block of "attention_mma", 16 a warp.
constexpr int64_t kLines = kThreads / 32 * 16;

/// Query heads that have a KV head and a list of rows in common.
int64_t headsOfUnit(decoder::AttentionOp attention) {
  int64_t units = attention.getKvHeads();
  if (Value list = attention.getRowList())
    if (auto type = cast<RankedTensorType>(list.getType()); type.getRank() == 2)
      units = std::max(units, type.getDimSize(0));
  return attention.getQueryHeads() / units;
}

/// Can products of matrices do it? Copies are of 16 bytes, and the largest
/// score is to be that of the largest product. What a threshold drops is for
/// each row and head to say, not for tiles of them.
bool suitsMatrices(decoder::AttentionOp attention) {
  Type type = getElementTypeOrSelf(attention.getKeys());
  return (type.isBF16() || type.isF16()) && attention.getHeadDim() % 8 == 0 &&
         attention.getHeadDim() <= 256 &&
         attention.getScale().convertToFloat() > 0 &&
         !attention.getDropBelowAttr() && headsOfUnit(attention) <= kLines;
}

} // namespace

PlanOrNone planAttention(func::FuncOp kernel) {
  auto attention = getOnlyOp<decoder::AttentionOp>(kernel);
  if (!attention)
    return std::nullopt;
  FailureOr<AffineExpr> extent = getArgumentExtent(
      kernel, cast<BlockArgument>(attention.getQuery()).getArgNumber(), 0);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());
  MLIRContext *context = kernel.getContext();
  if (!suitsMatrices(attention)) {
    int64_t items = llvm::divideCeil(attention.getQueryHeads(), kThreads / 32);
    return FailureOr<KernelPlan>(planAlways(
        kernel, makeConfig(context, kAttention, {{"threads", kThreads}}),
        makeGrid(*extent * items)));
  }
  // Wide heads leave fewer registers for scores, and less shared memory.
  int64_t keys = attention.getHeadDim() > 128 ? 32 : 64;
  if (std::optional<uint64_t> size = attention.getBlockSize())
    keys = std::min<int64_t>(keys, llvm::alignTo(*size, 16));
  int64_t heads = headsOfUnit(attention), rows = kLines / heads;
  return FailureOr<KernelPlan>(planAlways(
      kernel,
      makeConfig(context, kAttentionMma,
                 {{"threads", kThreads}, {"rows", rows}, {"keys", keys}}),
      makeGrid(extent->ceilDiv(rows) * (attention.getQueryHeads() / heads))));
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
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  shell->preferRegistersToBlocks();
  AttentionEmitter(builder, *shell, attention).emit();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
