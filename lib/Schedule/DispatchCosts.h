// What an op of @forward costs, as expressions over the program's symbols.
#ifndef COPPICE_LIB_SCHEDULE_DISPATCHCOSTS_H
#define COPPICE_LIB_SCHEDULE_DISPATCHCOSTS_H

#include "coppice/Dialect/Exec/IR/Exec.h"

namespace coppice {

/// One argument of a dispatch, as far as costs are concerned.
struct CostArgument {
  mlir::Value value;     ///< in @forward; null for a destination
  mlir::ArrayAttr shape; ///< its extents
  mlir::Type element;
  bool isWeight = false;
  bool isRead = false, isWritten = false;
};

exec::Kind getDispatchKind(mlir::Operation *op);

/// `extents` gives the extents of any tensor of @forward that `op` uses or
/// makes.
exec::CostAttr
getDispatchCost(mlir::Operation *op, llvm::ArrayRef<CostArgument> arguments,
                llvm::function_ref<mlir::ArrayAttr(mlir::Value)> extents);

} // namespace coppice

#endif // COPPICE_LIB_SCHEDULE_DISPATCHCOSTS_H
