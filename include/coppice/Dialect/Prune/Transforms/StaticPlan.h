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
  /// Fraction of the hidden dimension that goes: R16(H (1 - s)) columns of the
  /// residual stream remain, a set of its own at each boundary. A sublayer that
  /// is skipped has no boundary: its residual passes as it is.
  std::optional<double> staticNKCross;
  /// One set for all boundaries instead, so that no index maps are left.
  bool sameWidthSets = false;
  /// What is left of each component (sublayer or boundary) follows a sparsity
  /// of its own: s plus a draw from [-offset, offset), at least 0 and below 1.
  double offset = 0;
  /// Only sublayers that match, and boundaries; L counts these. Empty: all.
  std::string sites;
  uint64_t seed = 0;
};

/// R16 of the published families: floor(x), rounded up to a multiple of 16 if
/// x > 16.
int64_t roundUpToSixteen(double x);
/// Columns of `width` (channels, hidden dimensions) that a sparsity leaves.
int64_t countKeptColumns(int64_t width, double sparsity);
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
