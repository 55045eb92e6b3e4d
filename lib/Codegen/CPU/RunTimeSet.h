//===- RunTimeSet.h - a set of indices known at run time --------*- C++ -*-===//
//
// In: a list of i32 and its count, arguments of a kernel. Out: code that reads
// them. A granule of the set may be several units of what a kernel goes by (a
// granule of 128 columns is two panels of 64): positions and what they stand
// for are in units.
//
// Where there are several lists, the rows of a matrix, one is selected before
// anything is asked.
//
// Whoever made the list answers for its order and range (`prune.gemm`).
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_RUNTIMESET_H
#define COPPICE_LIB_CODEGEN_CPU_RUNTIMESET_H

#include "KernelBuilder.h"

namespace coppice::cpu {

class RunTimeSet : KernelBuilder {
public:
  /// `units` of a granule; `extent`: units that there are in all, of which the
  /// last granule has the rest.
  RunTimeSet(mlir::ImplicitLocOpBuilder &b, const KernelShell &shell,
             Value list, Value count, int64_t units, int64_t extent)
      : KernelBuilder(b, shell), list(argumentOf(list)),
        counter(argumentOf(count)), units(units), extent(extent) {}

  /// How many lists there are; 0: one that needs no selection.
  int64_t lists() const {
    auto type = mlir::cast<mlir::MemRefType>(list.getType());
    return type.getRank() == 2 ? type.getDimSize(0) : 0;
  }
  void select(Value number) { selected = number; }

  /// Of `width` columns those that the selected list is about: an equal share
  /// for each list.
  std::pair<Value, Value> columnsOf(int64_t width) {
    if (!lists())
      return {index(0), index(width)};
    int64_t share = width / lists();
    Value from = mul(selected, share);
    return {from, add(from, share)};
  }

  /// How many units are in the set. Reads memory: once, at the kernel's begin.
  Value count();
  /// The unit at `position`, which is below the count.
  Value at(Value position);
  /// The first position whose unit is not below `bound`, which takes time
  /// logarithmic in the count.
  Value lowerBound(Value bound);
  /// Builds `body` around each unit of the call's share, the call being for
  /// work items of `units` each of `extent` units; of each list, if there are
  /// several.
  void forEach(Value extent, int64_t units,
               llvm::function_ref<void(Value)> body);

private:
  Value granule(Value position);
  mlir::SmallVector<Value, 2> inList(mlir::ValueRange position) {
    mlir::SmallVector<Value, 2> indices(position);
    if (selected)
      indices.insert(indices.begin(), selected);
    return indices;
  }

  Value list, counter, selected;
  int64_t units, extent;
};

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_RUNTIMESET_H
