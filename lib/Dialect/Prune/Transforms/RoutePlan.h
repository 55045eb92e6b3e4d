// What a plan says about routes: which sublayers pass rows by, or compute parts
// of them, and who decides.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_ROUTEPLAN_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_ROUTEPLAN_H

#include "PlannedWeights.h"
#include "llvm/ADT/MapVector.h"

namespace coppice::prune {

/// Reads the routes of one plan, then writes them: routers, their decisions,
/// and a projection of the rows of what each sublayer adds, or of groups of the
/// columns that its last product reads.
class RoutePlan {
public:
  RoutePlan(mlir::ModuleOp module, llvm::ArrayRef<Sublayer> sublayers,
            SafetensorsSetReader &files, PlannedWeightOptions options)
      : module(module), sublayers(sublayers), files(files), options(options) {}

  /// Checks one decision against the model. `indices`: the sublayers that it
  /// names; with `isLayer`, by naming their layers, of which one router decides
  /// for all.
  mlir::LogicalResult read(RouteOp op, llvm::ArrayRef<size_t> indices,
                           bool isLayer);

  /// Checks what depends on the sets that other decisions keep: `keptOf` gives
  /// that of a sublayer, in its own units, null where all is kept.
  mlir::LogicalResult
  check(llvm::function_ref<SetAttr(size_t sublayer)> keptOf);

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
    int64_t groups = 1;
    // Of the sink's input, axis(N), or of the normed one, axis(K): the columns
    // of a group, and those that groups are counted among.
    int64_t groupColumns = 0;
    SetAttr among;
  };

  mlir::LogicalResult countGroups(Decision &decision, const Sublayer &sublayer,
                                  SetAttr kept);
  mlir::LogicalResult checkFile(const Decision &decision,
                                const Sublayer &sublayer);
  mlir::Value findRouted(size_t index, const Decision &decision) const;
  void project(const Sublayer &sublayer, const Decision &decision,
               mlir::Value mask);

  mlir::ModuleOp module;
  llvm::ArrayRef<Sublayer> sublayers;
  SafetensorsSetReader &files;
  PlannedWeightOptions options;
  llvm::MapVector<size_t, Decision> decisions; // by sublayer
};

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_ROUTEPLAN_H
