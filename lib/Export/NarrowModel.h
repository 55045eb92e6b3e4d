//===- NarrowModel.h - what is left of a pruned model -----------*- C++ -*-===//

#ifndef COPPICE_LIB_EXPORT_NARROWMODEL_H
#define COPPICE_LIB_EXPORT_NARROWMODEL_H

#include "coppice/Import/ModelDescription.h"
#include "runtime/base/dtype.h"

#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

namespace coppice {

/// A propagated module as the model that an importer would read.
struct NarrowModel {
  /// Layers of which nothing is left are not counted: later ones move up.
  ModelDescription description;
  rt::DType dtype = rt::DType::F32;
  /// Where the values of each weight of weightsOf(description) are, by symbol.
  llvm::StringMap<mlir::ml_program::GlobalOp> weights;
  /// The layers of the module in order: layer i is `layers[i]` there.
  std::vector<int64_t> layers;

  /// The name here of what is `site` in the module: `layers.5.mlp` becomes
  /// `layers.4.mlp` where a layer before it is gone.
  std::string renamed(llvm::StringRef site) const;
};

/// Reads sizes, maps and weights off a module that has been propagated, folded
/// and given gathers. What it does not look at, matchModel() does.
mlir::FailureOr<NarrowModel> readNarrowModel(mlir::ModuleOp module);

/// Checks that an importer, told what `model` says, would make the very ops of
/// the module: same kinds, shapes, attributes and operands, none missing and
/// none too many. So whatever a description cannot say is refused here.
mlir::LogicalResult matchModel(mlir::ModuleOp module, const NarrowModel &model);

} // namespace coppice

#endif // COPPICE_LIB_EXPORT_NARROWMODEL_H
