//===- ScoreBlocksKernel.cpp - scores of blocks of positions, on a GPU ----===//
//
// In: a kernel that is one `prune.select_blocks` with `top`. Out: the first of
// its two stages. A block of threads scores `blocks` of the blocks of positions
// that a row and a KV head choose from, into the workspace. Work is that of the
// whole context: what a row has not seen, or does not choose itself, ends at
// once.
//
//===----------------------------------------------------------------------===//

#include "BlockScores.h"
#include "SeenBlocks.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

class ScoreBlocksEmitter : SeenBlocks {
public:
  ScoreBlocksEmitter(ImplicitLocOpBuilder &b, KernelShell &shell,
                     prune::SelectBlocksOp op, int64_t blocks)
      : SeenBlocks(b, shell, op), blocks(blocks), scores(b, shell, op),
        query(allocateShared(scores.queryBytes())),
        scratch(allocateShared(scores.scratchBytes())) {}

  void emit() {
    int64_t positions = size * blocks;
    Value chunks =
        div(add(extentOf(op.getKeys(), 1), positions - 1), positions);
    forEachItem([&](Value item) {
      Value rowAndHead = div(item, chunks);
      Value row = div(rowAndHead, kvHeads), kvHead = rem(rowAndHead, kvHeads);
      Value begin = mul(rem(item, chunks), blocks);
      ifThen(isLeader(row), [&] {
        Seen seen = seenBy(row);
        // Where all are taken, nobody asks for scores.
        Value isAsked =
            both(less(seen.taken, seen.open), less(begin, seen.open));
        ifThen(isAsked, [&] { scoreFrom(row, kvHead, begin, seen); });
      });
    });
  }

private:
  void scoreFrom(Value row, Value kvHead, Value begin, const Seen &seen) {
    scores.makeQuery(row, kvHead, query, scratch);
    Value slot = loadElement(op.getSlots(), row);
    Value to = scoresOf(row, kvHead);
    Value end = min(add(begin, blocks), seen.open);
    loop(add(begin, warp()), end, shell.threads / 32, [&](Value number) {
      Value block = add(add(seen.from, first), number);
      Value score = scores.score(slot, kvHead, block, query);
      ifThen(equal(lane(), i32(0)),
             [&] { store(orderedKey(score), at(to, mul(number, 4))); });
    });
    barrier(); // the query of the next item
  }

  int64_t blocks;
  BlockScores scores;
  Value query, scratch;
};

} // namespace

LogicalResult emitScoreBlocks(func::FuncOp kernel) {
  auto op = getOnlyOp<prune::SelectBlocksOp>(kernel);
  if (!op || !op.getQuery())
    return kernel.emitError("expected one 'prune.select_blocks' by scores in a "
                            "kernel of strategy \"score_blocks\"");
  if (!kernel->hasAttr(exec::workspaceAttrName))
    return kernel.emitError() << "expected '" << exec::workspaceAttrName
                              << "' on a kernel of strategy \"score_blocks\"";
  FailureOr<int64_t> blocks = getParameter(kernel, "blocks");
  if (failed(blocks))
    return failure();
  if (*blocks <= 0)
    return kernel.emitError()
           << "expected a positive 'blocks', found " << *blocks;
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  ScoreBlocksEmitter(builder, *shell, op, *blocks).emit();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
