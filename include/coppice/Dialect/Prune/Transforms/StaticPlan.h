// Static plans by random choice: the baseline that every method of deciding
// what to prune has to beat, with exactly the shapes of the published families.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_STATICPLAN_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_STATICPLAN_H

#include "coppice/Analysis/Couplings.h"
#include <optional>
#include <string>

namespace coppice::prune {

struct StaticPlanOptions {
  /// Fraction of the attention and, drawn independently, of the MLP sublayers
  /// that are skipped: floor(L s) of each.
  std::optional<double> staticM;
  /// Skip floor(L s) whole layers instead.
  bool wholeLayers = false;
  /// Fraction of KV heads (with their query heads) and of channels that go:
  /// max(1, floor(Hk (1 - s))) heads and R16(I (1 - s)) channels remain, where
  /// R16(x) is floor(x), rounded up to a multiple of 16 if x > 16, at most I.
  std::optional<double> staticNK;
  /// Only sublayers that match; L counts these.
  std::string sites = "*.*.*";
  uint64_t seed = 0;
};

/// Channels of `intermediate` that a sparsity leaves.
int64_t countKeptChannels(int64_t intermediate, double sparsity);
/// KV heads that a sparsity leaves.
int64_t countKeptHeads(int64_t kvHeads, double sparsity);

/// Adds decisions to `plan`, at its end, about sublayers that it does not
/// decide about yet: skipped ones are drawn first, the others keep a part of
/// their width. The draw depends on the seed and the sublayer's name alone.
mlir::LogicalResult addStaticDecisions(PlanOp plan,
                                       llvm::ArrayRef<Sublayer> sublayers,
                                       const StaticPlanOptions &options);

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_STATICPLAN_H
