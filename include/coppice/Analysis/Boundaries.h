// Boundaries of the residual stream: where its width, the hidden dimension, can
// be pruned.
#ifndef COPPICE_ANALYSIS_BOUNDARIES_H
#define COPPICE_ANALYSIS_BOUNDARIES_H

#include "coppice/Analysis/Couplings.h"

namespace coppice {

/// The name of the first boundary; the others have their sublayer's.
inline constexpr llvm::StringLiteral kEmbedBoundary = "embed";

/// The residual stream between two sublayers: `embed` is what the first one
/// reads, `layers.N.SUBLAYER` the sum after that one.
struct Boundary {
  std::string name;
  mlir::Value value; // [rows, hidden]
  int64_t hidden() const;
};

/// The boundaries of a dense model in order, one more than it has sublayers.
/// Fails, with an error that begins with `emitError`, where sublayers do not
/// add to one another's sums or the width is not static.
mlir::FailureOr<llvm::SmallVector<Boundary>>
findBoundaries(llvm::ArrayRef<Sublayer> sublayers,
               llvm::function_ref<mlir::InFlightDiagnostic()> emitError);

} // namespace coppice

#endif // COPPICE_ANALYSIS_BOUNDARIES_H
