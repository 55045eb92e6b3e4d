//===- TileSums.h - where the sums of a block's tile are --------*- C++ -*-===//
//
// A block's tile of the result is cut into equal parts, one a warp, and a
// thread's sums are in registers: those of `rowCount` rows, and in each of
// `pairCount` pairs of neighbouring columns. MmaTile.h and MmaSparseTile.h
// multiply into them, GemmStore.h stores them.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_TILESUMS_H
#define COPPICE_LIB_CODEGEN_NVPTX_TILESUMS_H

#include "KernelBuilder.h"
#include "SharedTile.h"
#include "coppice/Codegen/NVPTX/GemmConfig.h"

namespace coppice::nvptx {

class TileSums : protected KernelBuilder {
public:
  TileSums(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
           const GemmConfig &config);
  virtual ~TileSums() = default;

  using Sums = llvm::SmallVector<Value>;
  Sums zeros();
  /// Adds the products of tiles of A and of W in shared memory, one step of K.
  virtual void multiply(Value tileA, Value tileW, Sums &sums) = 0;

  virtual int64_t rowCount() const = 0;
  virtual int64_t pairCount() const = 0;
  /// Of the tile; of a pair the first one.
  virtual Value rowOf(int64_t i) = 0;
  virtual Value columnOf(int64_t j) = 0;
  /// Two values.
  llvm::ArrayRef<Value> pairOf(llvm::ArrayRef<Value> sums, int64_t i,
                               int64_t j) const {
    return sums.slice((i / 2 * pairCount() + j) * 4 + i % 2 * 2, 2);
  }

protected:
  /// Where a lane's chunk is in each of `count` loads of a tile: the chunk of
  /// number `first`, then every `stride`-th one.
  llvm::SmallVector<Value> placesOf(const SharedTile &tile, Value row,
                                    Value first, int64_t stride, int64_t count);

  GemmConfig config;
  Value warpRow, warpColumn; // where the warp's part begins
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_TILESUMS_H
