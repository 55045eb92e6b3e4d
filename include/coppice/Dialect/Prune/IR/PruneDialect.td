// The `prune` dialect: what is kept of a matrix multiplication, and the
// projections that say so.
#ifndef COPPICE_DIALECT_PRUNE_IR_PRUNEDIALECT_TD
#define COPPICE_DIALECT_PRUNE_IR_PRUNEDIALECT_TD

include "mlir/IR/OpBase.td"

def Prune_Dialect : Dialect {
  let name = "prune";
  let cppNamespace = "::coppice::prune";
  let summary = "Pruning decisions as projections of the M, N or K of a GEMM";
  let description = [{
    For a keep-set k of one dimension let S restrict to k and E = S^T extend by
    zeros; S E = 1, and P = E S is a projection. `prune.project` is P and is the
    only op here that changes what a program means. `prune.restrict` is S,
    `prune.extend` is E, and everything done with them is exact algebra.

    Discardable attributes:

    - `prune.site` (string) names an op of another dialect, for example the
      linalg op of a matrix multiplication. Ops of our own dialects carry an
      inherent `site` instead; `coppice/Analysis/Sites.h` hides the difference.
    - `prune.kept` (`[[axis, #prune.set<..>], ..]`) on an op, a global, a
      function argument or result whose value was narrowed: which indices of
      the dense value it holds, axis by axis.
    - `prune.threshold` (a float) on an op of elements: those of its result that
      are smaller in magnitude are zero. It decides, so comparisons let one
      program decide for both.
    - `prune.pattern` (`#prune.nm<N of M>`) on a global: what is kept of this
      weight has that sparsity along its last axis. Who packs it checks that.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
  let extraClassDeclaration = [{
    /// The discardable name of an op that has no inherent one.
    static constexpr llvm::StringLiteral siteAttrName = "prune.site";
    /// Which indices of the dense value a narrowed value holds.
    static constexpr llvm::StringLiteral keptAttrName = "prune.kept";
    /// What elements of the result are smaller than are zero.
    static constexpr llvm::StringLiteral thresholdAttrName = "prune.threshold";
    /// The N:M sparsity that a weight has.
    static constexpr llvm::StringLiteral patternAttrName = "prune.pattern";
    /// On a projection of groups that stays a masked select, and on a GEMM that
    /// computes all rows, since lists were predicted to be slower.
    static constexpr llvm::StringLiteral fallbackAttrName = "prune.fallback";
    /// Of a module: the GEMMs that run dense for it, a dictionary each.
    static constexpr llvm::StringLiteral fallbacksAttrName = "prune.fallbacks";

  private:
    void registerAttributes();
  public:
  }];
}

#endif
