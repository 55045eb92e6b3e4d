// Names of ops and what a narrowed value holds.
//
// Every op of the model has a unique site. Ops of our dialects carry it as the
// inherent attribute `site`; linalg ops carry the discardable `prune.site`.
// Functions here hide the difference.
#ifndef COPPICE_ANALYSIS_SITES_H
#define COPPICE_ANALYSIS_SITES_H

#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/IR/Operation.h"
#include <optional>

namespace coppice {

/// The site of `op`, empty if it has none.
llvm::StringRef getSite(mlir::Operation *op);
/// Names `op`: its inherent site where it has one, else `prune.site`.
void setSite(mlir::Operation *op, llvm::StringRef site);
/// The name of the value that `op` computes: a fused GEMM's `value`, nothing
/// for a gather of what has been computed, else the site.
llvm::StringRef getValueName(mlir::Operation *op);

/// `layers.N.attn.q` and the like, taken apart.
struct LayerSite {
  int64_t layer;
  llvm::StringRef layerName; // "layers.3"
  llvm::StringRef
      sublayer; // "layers.3.attn"; equal to layerName for a layer's own name
  llvm::StringRef rest; // "q", empty for the sublayer itself
};
/// Nothing if the site is not inside of a layer.
std::optional<LayerSite> parseLayerSite(llvm::StringRef site);

/// One axis of a narrowed value and what it holds of the dense value's axis.
struct KeptAxis {
  int64_t axis;
  prune::SetAttr set;
};
/// The `prune.kept` of an attribute list `[[axis, set], ..]`; empty if null.
llvm::SmallVector<KeptAxis> parseKept(mlir::Attribute kept);
mlir::ArrayAttr makeKept(mlir::MLIRContext *context,
                         llvm::ArrayRef<KeptAxis> kept);
/// What `op`'s result holds of the dense value.
llvm::SmallVector<KeptAxis> getKept(mlir::Operation *op);
/// `kept` after its value has been restricted to `set` along `axis` once more:
/// the set is composed with what that axis already held.
mlir::ArrayAttr composeKept(mlir::MLIRContext *context, mlir::Attribute kept,
                            int64_t axis, prune::SetAttr set);
/// Records on `op` that its result was restricted to `set` along `axis`.
void narrowKept(mlir::Operation *op, int64_t axis, prune::SetAttr set);

} // namespace coppice

#endif // COPPICE_ANALYSIS_SITES_H
