// The lists of rows that a mask keeps.
#ifndef COPPICE_LIB_SCHEDULE_ROWLISTS_H
#define COPPICE_LIB_SCHEDULE_ROWLISTS_H

#include "coppice/Dialect/Prune/IR/Prune.h"
#include "llvm/ADT/DenseMap.h"

namespace coppice {

/// The lists that exist: one `prune.compact` for each mask and side of it, for
/// all that share the decision.
class RowLists {
public:
  enum Kind {
    Kept,     ///< one list: the rows that a mask of one group keeps
    Passed,   ///< one list: the others
    PerGroup, ///< a matrix: a list for each group, be there one or several
  };
  /// The ones of `mask`, made right behind it where there are none yet.
  prune::CompactOp get(mlir::Value mask, Kind kind);

private:
  llvm::DenseMap<std::pair<mlir::Value, int>, prune::CompactOp> made;
};

} // namespace coppice

#endif // COPPICE_LIB_SCHEDULE_ROWLISTS_H
