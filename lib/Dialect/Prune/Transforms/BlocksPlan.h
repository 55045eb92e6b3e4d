// What a plan says about blocks of positions: which attentions look at some of
// them only, how these are chosen, and what is dropped for weighing little.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_BLOCKSPLAN_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_BLOCKSPLAN_H

#include "PlannedWeights.h"
#include "llvm/ADT/MapVector.h"

namespace coppice::prune {

/// Reads the `prune.blocks` of one plan, then writes for each attention a
/// `prune.select_blocks`, which it reads, and its threshold.
class BlocksPlan {
public:
  BlocksPlan(mlir::ModuleOp module, llvm::ArrayRef<Sublayer> sublayers,
             SafetensorsSetReader &files, PlannedWeightOptions options)
      : module(module), sublayers(sublayers), files(files), options(options) {}

  /// Checks one decision about the sublayers `indices` against the model.
  mlir::LogicalResult read(BlocksOp op, llvm::ArrayRef<size_t> indices);

  /// The decision about a sublayer, null if there is none.
  BlocksOp getDecision(size_t sublayer) const {
    return decisions.lookup(sublayer);
  }

  /// Writes what is chosen; returns of how many attentions.
  int64_t apply();

private:
  mlir::LogicalResult checkFile(BlocksOp op, const Sublayer &sublayer);
  void write(const Sublayer &sublayer, BlocksOp decision);
  SelectBlocksOp writeLists(const Sublayer &sublayer, BlocksOp decision);

  mlir::ModuleOp module;
  llvm::ArrayRef<Sublayer> sublayers;
  SafetensorsSetReader &files;
  PlannedWeightOptions options;
  llvm::MapVector<size_t, BlocksOp> decisions; // by sublayer
};

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_BLOCKSPLAN_H
