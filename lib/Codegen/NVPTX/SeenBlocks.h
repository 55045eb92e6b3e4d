//===- SeenBlocks.h - what rows see of their slots, on a GPU ----*- C++ -*-===//
//
// In: a `prune.select_blocks` and the number of a row. Out: code that tells
// whether the row is the first of those that choose together, and which blocks
// of positions there are to choose from.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_SEENBLOCKS_H
#define COPPICE_LIB_CODEGEN_NVPTX_SEENBLOCKS_H

#include "KernelBuilder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

namespace coppice::nvptx {

class SeenBlocks : protected KernelBuilder {
protected:
  SeenBlocks(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
             prune::SelectBlocksOp op)
      : KernelBuilder(b, shell), op(op),
        size(static_cast<int64_t>(op.getBlockSize())),
        recent(static_cast<int64_t>(op.getRecent())),
        first(static_cast<int64_t>(op.getFirst())),
        top(static_cast<int64_t>(op.getTop())), kvHeads(op.getKvHeads()) {}

  /// The block of a row's own position; -1 for a row without one.
  Value blockOf(Value row);
  /// Does `row`, whose block is `block`, choose together with `other`, given
  /// that they follow one another?
  Value isSame(Value row, Value other, Value block);
  /// Is the row the first of those that choose with it?
  Value isLeader(Value row);

  /// What a row sees, by its position, which is read anew: numbers that live
  /// as long as a choice takes would cost registers all the while.
  struct Seen {
    Value from;   // the first block
    Value listed; // blocks that are listed
    Value open;   // those that scores decide about, behind the first ones
    Value taken;  // how many of these are listed
  };
  Seen seenBy(Value row);

  /// Where the scores of a row and a KV head are in the workspace, one for each
  /// block that there may be.
  Value scoresOf(Value row, Value kvHead);

  /// An unsigned number that is larger where the score is; of NaN the largest.
  Value orderedKey(Value score);

  prune::SelectBlocksOp op;
  int64_t size, recent, first, top, kvHeads;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_SEENBLOCKS_H
