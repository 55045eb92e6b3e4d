//===- MmaTile.h - a block's product of two tiles ---------------*- C++ -*-===//
//
// In: tiles of A and W in shared memory, one step of K. Out: the sums of a
// block's tile of the result, each in a register of one thread:
//
//   for each 16 columns of K:
//     fragments of A and W by `ldmatrix.x4`
//     sums += fragments by `mma.sync.m16n8k16`, in f32
//
// A block's tile is cut into equal parts, one a warp. Of an 8 x 8 piece of the
// result a thread has two neighbouring columns of a row.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_MMATILE_H
#define COPPICE_LIB_CODEGEN_NVPTX_MMATILE_H

#include "KernelBuilder.h"
#include "SharedTile.h"
#include "WarpMatrix.h"
#include "coppice/Codegen/NVPTX/GemmConfig.h"

namespace coppice::nvptx {

class MmaTile : KernelBuilder {
public:
  /// `element`: f16 or bf16, of both matrices.
  MmaTile(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
          const GemmConfig &config, mlir::Type element);

  using Sums = llvm::SmallVector<Value>;
  Sums zeros();
  void multiply(Value tileA, Value tileW, Sums &sums);

  // Where a thread's sums are: `rowCount` by `pairCount` pairs of columns.
  int64_t rowCount() const { return config.warpRows / 8; }
  int64_t pairCount() const { return config.warpColumns / 8; }
  Value rowOf(int64_t i) { return add(threadRow, 8 * i); }
  Value columnOf(int64_t j) { return add(threadColumn, 8 * j); }
  /// Two values.
  llvm::ArrayRef<Value> pairOf(llvm::ArrayRef<Value> sums, int64_t i,
                               int64_t j) const {
    return sums.slice((i / 2 * pairCount() + j) * 4 + i % 2 * 2, 2);
  }

private:
  /// Where a lane's row of the matrices of an `ldmatrix` is.
  struct Lane {
    llvm::SmallVector<Value> offsets; // one for each 16 columns of K
  };
  Lane mapLane(const SharedTile &tile, Value row, Value half);

  GemmConfig config;
  WarpMatrix matrices;
  SharedTile tileA, tileW;
  Lane laneA, laneW;
  Value threadRow, threadColumn;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_MMATILE_H
