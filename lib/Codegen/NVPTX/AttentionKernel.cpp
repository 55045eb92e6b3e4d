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

PlanOrNone planAttention(func::FuncOp kernel) {
  auto attention = getOnlyOp<decoder::AttentionOp>(kernel);
  if (!attention)
    return std::nullopt;
  FailureOr<AffineExpr> rows = getArgumentExtent(
      kernel, cast<BlockArgument>(attention.getQuery()).getArgNumber(), 0);
  if (failed(rows))
    return FailureOr<KernelPlan>(failure());
  int64_t items = llvm::divideCeil(attention.getQueryHeads(), kThreads / 32);
  return FailureOr<KernelPlan>(planAlways(
      kernel,
      makeConfig(kernel.getContext(), kAttention, {{"threads", kThreads}}),
      makeGrid(*rows * items)));
}

LogicalResult emitAttention(func::FuncOp kernel) {
  auto attention = getOnlyOp<decoder::AttentionOp>(kernel);
  if (!attention)
    return kernel.emitError() << "expected one 'decoder.attention' in a kernel "
                                 "of strategy \""
                              << getStrategy(kernel) << "\"";
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
