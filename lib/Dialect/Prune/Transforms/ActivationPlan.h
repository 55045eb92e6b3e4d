// What a plan says about activations: which inputs of weights are zero where
// they are small.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_ACTIVATIONPLAN_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_ACTIVATIONPLAN_H

#include "coppice/Dialect/Prune/IR/Prune.h"

namespace coppice::prune {

/// Applies the `prune.activations` of `plan`, an op at a time, to the GEMMs of
/// `module`. Fails, with a diagnostic and nothing changed, where one names no
/// GEMM, or a GEMM is decided about twice. Returns how many GEMMs they are.
mlir::FailureOr<int64_t> applyActivationDecisions(mlir::ModuleOp module,
                                                  PlanOp plan);

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_ACTIVATIONPLAN_H
