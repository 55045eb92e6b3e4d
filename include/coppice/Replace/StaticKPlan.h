// Plans of static K by formula: the ranks of the published low-rank family, one
// N:M pattern, or one unstructured sparsity, for all linear layers.
#ifndef COPPICE_REPLACE_STATICKPLAN_H
#define COPPICE_REPLACE_STATICKPLAN_H

#include "coppice/Dialect/Prune/IR/Prune.h"

#include "mlir/IR/BuiltinOps.h"

#include <optional>
#include <string>

namespace coppice {

struct StaticKOptions {
  /// Fraction of each weight's parameters that factors do without.
  std::optional<double> lowRank;
  /// Fraction of the rows of MLP weights that stay dense beside their factors.
  double retainedRatio = 0;
  /// N:M by magnitude; null: none.
  prune::NMAttr pattern;
  /// Fraction of each weight that becomes zeros anywhere, by magnitude.
  std::optional<double> unstructured;

  bool any() const { return lowRank || pattern || unstructured; }
  /// GEMMs inside of layers that match, or whose sublayer does.
  std::string sites = "*.*.*";
  /// Where relative paths of the module's weights start: rows are retained by
  /// magnitude.
  std::string inputDirectory;
};

/// R16((1 - s) N K / (N + K)), where R16(x) is floor(x), rounded up to a
/// multiple of 16 if x > 16; at least 1 and at most min(N, K). With `retained`
/// of the N rows dense, at ratio rho:
/// R16(N K ((1 - s) - rho) / (N + K - rho N)).
int64_t rankOf(int64_t n, int64_t k, double sparsity, double rho = 0);

/// Adds decisions to `plan`, at its end, about the weights in layers that it
/// does not decide about yet. N and K are what its other decisions leave of a
/// weight. Of a generated weight the first rows are retained, of others those
/// with the largest norm.
mlir::LogicalResult addStaticKDecisions(mlir::ModuleOp module,
                                        prune::PlanOp plan,
                                        const StaticKOptions &options);

} // namespace coppice

#endif // COPPICE_REPLACE_STATICKPLAN_H
