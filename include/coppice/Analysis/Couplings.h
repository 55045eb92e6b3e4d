// What is pruned together: the sublayers of a dense module, and for each the
// GEMM that ends it (its sink), whose reduction dimension is where width
// pruning is written.
#ifndef COPPICE_ANALYSIS_COUPLINGS_H
#define COPPICE_ANALYSIS_COUPLINGS_H

#include "coppice/Analysis/Sites.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace coppice {

/// `residual = r + delta`, where delta is what the sublayer computes.
struct Sublayer {
  std::string name; // "layers.3.attn"
  int64_t layer;
  mlir::linalg::GenericOp residual; // carries the sublayer's name
  mlir::OpOperand *delta;
  /// The GEMM that ends the sublayer, null if it has none.
  mlir::Operation *sink = nullptr;
  /// The `decoder.attention` from which the sink's input comes, null if none.
  mlir::Operation *attention = nullptr;
  /// What can be kept of it, and how many there are.
  prune::Dimension dimension = prune::Dimension::Channels;
  int64_t count = 0;
  /// Columns of the sink's input for one channel (1) or KV head (all of its
  /// query heads).
  int64_t granule = 1;
  /// Columns of the sink's input for one channel (1) or one query head.
  int64_t unit = 1;
};

/// The sublayers of the functions of `module` in order. A sublayer is a
/// residual add that is named `layers.N.SOMETHING`; one that has another form
/// is an error, and so is a projection: the module is not dense then.
mlir::FailureOr<llvm::SmallVector<Sublayer>>
findSublayers(mlir::ModuleOp module);

/// The activations and the weight of a matrix multiplication site: a
/// `prune.gemm` or a linalg contraction of two matrices. Null if `op` is none.
struct GemmOperands {
  mlir::OpOperand *input = nullptr, *weight = nullptr;
  explicit operator bool() const { return input; }
};
GemmOperands getGemmOperands(mlir::Operation *op);

} // namespace coppice

#endif // COPPICE_ANALYSIS_COUPLINGS_H
