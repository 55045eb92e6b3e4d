// Decisions about weights: prune.factor, prune.pattern and prune.mask.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_WEIGHTDECISIONS_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_WEIGHTDECISIONS_H

#include "SetFiles.h"
#include "mlir/IR/BuiltinOps.h"

namespace coppice::prune {

struct WeightDecisionOptions {
  /// Where relative paths start; empty: at the file of the decision.
  std::string directory;
  /// Leave the source of all new weights open, also of those whose old weight
  /// is generated.
  bool openSources = false;
};

/// Writes a prune.replace, with globals for the new weights, for each GEMM that
/// the plan's decisions about weights name. Sublayers that the module's
/// projections take out whole are passed over. Nothing is written where a
/// decision is wrong. Returns how many weights were replaced.
mlir::FailureOr<int64_t>
applyWeightDecisions(mlir::ModuleOp module, PlanOp plan,
                     const WeightDecisionOptions &options);

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_WEIGHTDECISIONS_H
