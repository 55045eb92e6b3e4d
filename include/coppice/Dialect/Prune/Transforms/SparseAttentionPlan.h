// Block-sparse attention by flags: one choice of blocks for all attentions.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_SPARSEATTENTIONPLAN_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_SPARSEATTENTIONPLAN_H

#include "coppice/Analysis/Couplings.h"
#include <optional>
#include <string>

namespace coppice::prune {

struct SparseAttentionOptions {
  /// Fraction of the blocks of `context` positions that the last row leaves
  /// out. Of the C = ceil((1 - S) n) of n blocks that stay one is the first, if
  /// there are two, half of the others, rounded up, are the last, and the rest
  /// are chosen by score.
  std::optional<double> sparsity;
  int64_t context = 0;
  int64_t blockSize = 64;
  /// Or the numbers themselves, of which those that are not given are 1, 0, 0.
  std::optional<int64_t> window, sinks, top;
  /// Rank of the learned matrices that score what is chosen by score.
  std::optional<int64_t> scorer;
  /// File of those; empty: they are generated.
  std::string scorerFile;
  /// Weight, as a share of the largest so far, below which blocks are dropped.
  std::optional<double> threshold;
  /// Only attentions that match. Empty: all.
  std::string sites;

  bool choosesBlocks() const { return sparsity || window || sinks || top; }
  bool any() const { return choosesBlocks() || threshold; }
};

/// Adds a `prune.blocks` to `plan`, at its end, for each attention that the
/// plan neither skips nor has said this about yet.
mlir::LogicalResult
addSparseAttentionDecisions(PlanOp plan, llvm::ArrayRef<Sublayer> sublayers,
                            const SparseAttentionOptions &options);

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_SPARSEATTENTIONPLAN_H
