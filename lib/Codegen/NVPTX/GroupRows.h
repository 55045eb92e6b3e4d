//===- GroupRows.h - which rows of a tile are in which group ----*- C++ -*-===//
//
// In: an ascending list of rows for each group of K (`rows .. per group of G`),
// and a run of rows, a tile's. Out: a flag in shared memory for each group and
// row. A list's rows that are the tile's are a run of the list: one search for
// its beginning, a thread a group, then a read of it, a warp a group.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_GROUPROWS_H
#define COPPICE_LIB_CODEGEN_NVPTX_GROUPROWS_H

#include "KernelBuilder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

namespace coppice::nvptx {

class GroupRows : KernelBuilder {
public:
  /// `shared`: `sharedBytes` of the block's memory, at a multiple of 4.
  GroupRows(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
            prune::GemmOp gemm, int64_t groups, int64_t rows, Value shared)
      : KernelBuilder(b, shell), gemm(gemm), groups(groups), rows(rows),
        starts(shared), flags(at(shared, 4 * groups)) {}

  static int64_t sharedBytes(int64_t groups, int64_t rows) {
    return groups * (rows + 4);
  }

  /// All threads come here; flags may be read after the next barrier.
  void find(Value firstRow);
  Value has(Value group, Value row);

private:
  prune::GemmOp gemm;
  int64_t groups, rows;
  Value starts, flags;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_GROUPROWS_H
