// Thresholds of activation sparsity, from what a model computes.
#ifndef COPPICE_CALIBRATE_ACTIVATIONTHRESHOLDS_H
#define COPPICE_CALIBRATE_ACTIVATIONTHRESHOLDS_H

#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace coppice {

struct ActivationOptions {
  /// Fraction of the values that a weight reads that is to be zero.
  double sparsity = 0;
  /// Only GEMMs of layers whose site or sublayer matches. Empty: all.
  std::string sites;
  /// Where relative paths of the module's weights start.
  std::string inputDirectory;
  /// Random token ids that the dense model is run on, at most: its context
  /// may be shorter.
  int64_t tokens = 256;
  uint64_t seed = 0;
};

/// Adds to `plan` a `prune.activations` for each GEMM of the dense `module`
/// that matches, with the magnitude that the fraction `sparsity` of its input
/// is below. The dense model is compiled into a directory for temporary files,
/// run once, and what its GEMMs read is looked at. Gives how many tokens it was
/// run on. Reports what is wrong, and then adds nothing.
mlir::FailureOr<int64_t>
addActivationDecisions(mlir::ModuleOp module, prune::PlanOp plan,
                       const ActivationOptions &options);

} // namespace coppice

#endif // COPPICE_CALIBRATE_ACTIVATIONTHRESHOLDS_H
