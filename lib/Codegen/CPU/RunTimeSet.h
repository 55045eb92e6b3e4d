//===- RunTimeSet.h - a set of indices known at run time --------*- C++ -*-===//
//
// In: a list of i32 and its count, arguments of a kernel. Out: code that reads
// them. A granule of the set may be several units of what a kernel goes by (a
// granule of 128 columns is two panels of 64): positions and what they stand
// for are in units.
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

  /// How many units are in the set. Reads memory: once, at the kernel's begin.
  Value count();
  /// The unit at `position`, which is below the count.
  Value at(Value position);
  /// Builds `body` around each unit of the call's share, the call being for
  /// work items of `units` each of `extent` units.
  void forEach(Value extent, int64_t units,
               llvm::function_ref<void(Value)> body);

private:
  Value granule(Value position);

  Value list, counter;
  int64_t units, extent;
};

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_RUNTIMESET_H
