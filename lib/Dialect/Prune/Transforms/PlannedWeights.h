// Weights that plans add to a model: of routers, of forecasts, of what scores
// blocks. They are tensors of a safetensors file that the decision names,
// called as the globals are, or generated.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_PLANNEDWEIGHTS_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_PLANNEDWEIGHTS_H

#include "SetFiles.h"
#include "coppice/Analysis/Couplings.h"

namespace coppice::prune {

struct PlannedWeightOptions {
  /// Where relative paths start; empty: at the file that the decision is
  /// written in.
  llvm::StringRef directory;
  /// Leave it open where generated weights come from.
  bool openSources = false;
};

struct PlannedWeight {
  std::string name;
  llvm::SmallVector<int64_t> shape;
  double stddev = 0.02; ///< where it is generated
};

/// What weights of the sublayer are stored as: those that a plan adds, too.
mlir::Type getStorage(const Sublayer &sublayer);

/// Are these weights, of the element type `storage`, in the file that `op`
/// names?
mlir::LogicalResult
checkPlannedWeights(mlir::Operation *op, llvm::StringRef file,
                    llvm::ArrayRef<PlannedWeight> weights, mlir::Type storage,
                    SafetensorsSetReader &files, llvm::StringRef directory);

/// Adds globals to a module, and loads of them.
class PlannedWeightWriter {
public:
  /// `file`: null, weights are generated.
  PlannedWeightWriter(mlir::ModuleOp module, mlir::Type storage,
                      mlir::StringAttr file, bool openSources)
      : symbols(module), storage(storage), file(file),
        openSources(openSources) {}

  mlir::Value load(mlir::OpBuilder &builder, mlir::Location loc,
                   const PlannedWeight &weight);

private:
  uint64_t findSeed();

  mlir::SymbolTable symbols;
  mlir::Type storage;
  mlir::StringAttr file;
  bool openSources;
};

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_PLANNEDWEIGHTS_H
