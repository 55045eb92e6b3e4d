// What a plan says about the hidden dimension, boundary by boundary.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_HIDDENPLAN_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_HIDDENPLAN_H

#include "SetFiles.h"
#include "coppice/Analysis/Boundaries.h"

namespace coppice::prune {

/// Reads the decisions about the hidden dimension of one plan, then writes
/// them: a projection of the columns of each boundary that something is decided
/// about.
class HiddenPlan {
public:
  HiddenPlan(llvm::ArrayRef<Sublayer> sublayers, llvm::StringRef directory,
             SafetensorsSetReader &files)
      : sublayers(sublayers), directory(directory), files(files) {}

  /// Checks one decision against the model; a set from a file becomes literal.
  mlir::LogicalResult read(KeepOp op);
  /// Writes the projections; returns how many.
  int64_t apply() const;

private:
  mlir::LogicalResult findModelBoundaries(KeepOp op);

  llvm::ArrayRef<Sublayer> sublayers;
  llvm::StringRef directory;
  SafetensorsSetReader &files;
  llvm::SmallVector<Boundary> boundaries; // once a decision asks for them
  struct Decision {
    KeepOp op; // null: nothing
    SetAttr keep;
  };
  llvm::SmallVector<Decision> decisions; // of the boundary with the same index
};

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_HIDDENPLAN_H
