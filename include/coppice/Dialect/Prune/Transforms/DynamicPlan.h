// Dynamic plans by flags: one sparsity for all sublayers, decided by routers.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_DYNAMICPLAN_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_DYNAMICPLAN_H

#include "coppice/Analysis/Couplings.h"
#include <optional>
#include <string>

namespace coppice::prune {

struct DynamicPlanOptions {
  /// Fraction of the rows of each sublayer that routers are expected to pass
  /// by.
  std::optional<double> dynamicM;
  /// Fraction of the groups of each sublayer's width that routers are expected
  /// to leave out in a row, and the channels of a group. An attention has
  /// groups of as many query heads as have no more columns, at least one.
  std::optional<double> dynamicN;
  /// The same of groups of columns of each sublayer's normed input.
  std::optional<double> dynamicK;
  int64_t group = 128;
  /// One router decides for both sublayers of a layer.
  bool wholeLayers = false;
  /// `linear`, `bottleneck(R)` or `mlp(R)`, as a plan has it; empty:
  /// bottleneck(16).
  std::string router;
  /// Where the weights of routers are, relative to the module; empty: they are
  /// generated.
  std::string file;
  /// Only sublayers that match. Empty: all.
  std::string sites;
};

/// Adds a `prune.route` to `plan`, at its end, for each sublayer, or with
/// `wholeLayers` each layer, that the plan neither skips nor routes yet.
mlir::LogicalResult addDynamicDecisions(PlanOp plan,
                                        llvm::ArrayRef<Sublayer> sublayers,
                                        const DynamicPlanOptions &options);

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_DYNAMICPLAN_H
