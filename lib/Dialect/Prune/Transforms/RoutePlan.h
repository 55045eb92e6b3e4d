// What a plan says about routes: which sublayers pass rows by, and who decides.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_ROUTEPLAN_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_ROUTEPLAN_H

#include "SetFiles.h"
#include "coppice/Analysis/Couplings.h"
#include "llvm/ADT/MapVector.h"

namespace coppice::prune {

/// Reads the routes of one plan, then writes them: routers, their decisions,
/// and a projection of the rows of what each sublayer adds.
class RoutePlan {
public:
  struct Options {
    llvm::StringRef directory; // where relative paths start; empty: at the plan
    /// Leave it open where the weights of routers come from.
    bool openSources = false;
  };

  RoutePlan(mlir::ModuleOp module, llvm::ArrayRef<Sublayer> sublayers,
            SafetensorsSetReader &files, Options options)
      : module(module), sublayers(sublayers), files(files), options(options) {}

  /// Checks one decision against the model. `indices`: the sublayers that it
  /// names; with `isLayer`, by naming their layers, of which one router decides
  /// for all.
  mlir::LogicalResult read(RouteOp op, llvm::ArrayRef<size_t> indices,
                           bool isLayer);

  /// The route of a sublayer, null if there is none.
  RouteOp getDecision(size_t sublayer) const {
    return decisions.lookup(sublayer).op;
  }

  /// Writes the routes; returns how many sublayers have one.
  int64_t apply();

private:
  struct Decision {
    RouteOp op;       // null: nothing
    std::string name; // of the sublayer or the layer that decides
  };

  static llvm::SmallVector<std::pair<std::string, llvm::SmallVector<int64_t>>>
  weightsOf(RouteOp op, llvm::StringRef name, int64_t hidden);
  mlir::LogicalResult checkFile(RouteOp op, const Sublayer &sublayer,
                                llvm::StringRef name);

  mlir::ModuleOp module;
  llvm::ArrayRef<Sublayer> sublayers;
  SafetensorsSetReader &files;
  Options options;
  llvm::MapVector<size_t, Decision> decisions; // by sublayer
};

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_ROUTEPLAN_H
