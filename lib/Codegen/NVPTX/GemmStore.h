//===- GemmStore.h - sums of a product's tile to memory ---------*- C++ -*-===//
//
// In: the sums of a block's tile, in registers of its threads (TileSums.h), and
// which rows and columns these are. Out: either the result, behind the
// epilogue, or sums of a part of K in the workspace, for a stage that adds the
// parts up (MergeKernel.cpp):
//
//   workspace[part, number of the row, column], f32
//
// Two neighbouring columns are loaded and stored at once where they are
// neighbours in memory.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_GEMMSTORE_H
#define COPPICE_LIB_CODEGEN_NVPTX_GEMMSTORE_H

#include "ProductEpilogue.h"
#include "ProductPlaces.h"
#include "TileSums.h"

namespace coppice::nvptx {

class GemmStore : KernelBuilder {
public:
  GemmStore(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
            prune::GemmOp gemm, TileSums &tile, ProductPlaces &places)
      : KernelBuilder(b, shell), gemm(gemm), tile(tile), places(places) {}

  /// Where the block's tile begins, in numbers of rows and columns.
  struct Place {
    Value row, column, panel;
  };
  mlir::LogicalResult storeResult(llvm::ArrayRef<Value> sums,
                                  const Place &place);
  void storePart(llvm::ArrayRef<Value> sums, const Place &place, Value part);

private:
  int64_t width() const { return ProductPlaces::hasPairs(gemm) ? 2 : 1; }
  /// Of all pairs of a thread: one or two columns each.
  llvm::SmallVector<ProductPlaces::Column> findColumns(const Place &place);
  mlir::LogicalResult storeSome(llvm::ArrayRef<Value> sums, int64_t i,
                                Value row, int64_t first,
                                llvm::ArrayRef<ProductPlaces::Column> columns);
  mlir::LogicalResult storeRow(llvm::ArrayRef<Value> sums, int64_t i, Value row,
                               llvm::ArrayRef<ProductPlaces::Column> columns);

  prune::GemmOp gemm;
  TileSums &tile;
  ProductPlaces &places;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_GEMMSTORE_H
