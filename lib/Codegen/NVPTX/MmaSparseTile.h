//===- MmaSparseTile.h - a block's product with 2:4 weights -----*- C++ -*-===//
//
// In: a tile of A in shared memory, and one of a W that keeps two of each four
// columns of K (WeightLoad.h). Out: the sums of a block's tile of the result:
//
//   for each 32 columns of K:
//     fragments of A, and of what W keeps, by `ldmatrix.x4`
//     sums += fragments by `mma.sp.m16n8k32`, in f32
//
// That is half of the products of MmaTile.h. The operand that is selected from
// is the left one, so W is on the left, and what comes out has columns of the
// result in its rows: of a 16 (columns) by 8 (rows) piece a thread has two
// rows, and in each the two columns whose places (nm_layout.h) are 8 apart,
// which are neighbours.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_MMASPARSETILE_H
#define COPPICE_LIB_CODEGEN_NVPTX_MMASPARSETILE_H

#include "TileSums.h"
#include "WarpMatrix.h"

namespace coppice::nvptx {

class MmaSparseTile : public TileSums {
public:
  /// `element`: f16 or bf16, of both matrices.
  MmaSparseTile(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
                const GemmConfig &config, mlir::Type element);

  void multiply(Value tileA, Value tileW, Sums &sums) override;
  int64_t rowCount() const override { return config.warpRows / 4; }
  int64_t pairCount() const override { return config.warpColumns / 16; }
  Value rowOf(int64_t i) override { return add(threadRow, i / 2 * 8 + i % 2); }
  Value columnOf(int64_t j) override { return add(threadColumn, 16 * j); }

private:
  WarpMatrix matrices;
  SharedTile tileA, values;
  llvm::SmallVector<Value> placesA, placesW; // for each 32 columns of K
  llvm::SmallVector<Value> positions;        // for each 16 columns of the warp
  Value threadRow, threadColumn;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_MMASPARSETILE_H
