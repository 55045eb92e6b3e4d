//===- MmaTile.h - a block's product of two tiles ---------------*- C++ -*-===//
//
// In: tiles of A and W in shared memory, one step of K. Out: the sums of a
// block's tile of the result:
//
//   for each 16 columns of K:
//     fragments of A and W by `ldmatrix.x4`
//     sums += fragments by `mma.sync.m16n8k16`, in f32
//
// Of an 8 x 8 piece of the result a thread has two neighbouring columns of a
// row.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_MMATILE_H
#define COPPICE_LIB_CODEGEN_NVPTX_MMATILE_H

#include "TileSums.h"
#include "WarpMatrix.h"

namespace coppice::nvptx {

class MmaTile : public TileSums {
public:
  /// `element`: f16 or bf16, of both matrices.
  MmaTile(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
          const GemmConfig &config, mlir::Type element);

  void multiply(Value tileA, Value tileW, Sums &sums) override;
  int64_t rowCount() const override { return config.warpRows / 8; }
  int64_t pairCount() const override { return config.warpColumns / 8; }
  Value rowOf(int64_t i) override { return add(threadRow, 8 * i); }
  Value columnOf(int64_t j) override { return add(threadColumn, 8 * j); }

private:
  WarpMatrix matrices;
  SharedTile tileA, tileW;
  llvm::SmallVector<Value> placesA, placesW; // for each 16 columns of K
  Value threadRow, threadColumn;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_MMATILE_H
