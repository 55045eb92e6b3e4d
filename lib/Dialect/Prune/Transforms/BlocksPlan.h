// What a plan says about blocks of positions: which attentions look at some of
// them only, and how these are chosen.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_BLOCKSPLAN_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_BLOCKSPLAN_H

#include "coppice/Analysis/Couplings.h"
#include "llvm/ADT/MapVector.h"

namespace coppice::prune {

/// Reads the `prune.blocks` of one plan, then writes for each attention a
/// `prune.select_blocks`, which it reads.
class BlocksPlan {
public:
  explicit BlocksPlan(llvm::ArrayRef<Sublayer> sublayers)
      : sublayers(sublayers) {}

  /// Checks one decision about the sublayers `indices` against the model.
  mlir::LogicalResult read(BlocksOp op, llvm::ArrayRef<size_t> indices);

  /// The decision about a sublayer, null if there is none.
  BlocksOp getDecision(size_t sublayer) const {
    return decisions.lookup(sublayer);
  }

  /// Writes what is chosen; returns of how many attentions.
  int64_t apply();

private:
  llvm::ArrayRef<Sublayer> sublayers;
  llvm::MapVector<size_t, BlocksOp> decisions; // by sublayer
};

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_BLOCKSPLAN_H
