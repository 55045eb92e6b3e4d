//===- WeightLoad.h - columns of W to shared memory -------------*- C++ -*-===//
//
// In: the weight of a product, which columns of the result make up a tile (rows
// of W), and a step along K. Out: the tile's part of W in shared memory, as the
// tensor cores' fragments are loaded from it. A weight in rows is a tile of
// rows (TileLoad.h). One that keeps two of four columns of K comes packed for
// tensor cores (runtime/base/nm_layout.h), and its tile is two, of what is kept
// and of the positions:
//
//   values     [columns][32]        in the order of places
//   positions  [columns / 16][64]
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_WEIGHTLOAD_H
#define COPPICE_LIB_CODEGEN_NVPTX_WEIGHTLOAD_H

#include "ProductPlaces.h"
#include "TileLoad.h"
#include "coppice/Codegen/NVPTX/GemmConfig.h"
#include "runtime/base/nm_layout.h"

namespace coppice::nvptx {

/// The two tiles of a W that keeps two of four.
struct SparseTile {
  static SharedTile values(const GemmConfig &config) {
    return {config.columns, rt::NMLayout::tensorDepth};
  }
  static SharedTile positions(const GemmConfig &config) {
    return {config.columns / rt::NMLayout::tensorPanel, 64};
  }
};

class WeightLoad : KernelBuilder {
public:
  WeightLoad(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
             prune::GemmOp gemm, const GemmConfig &config, const KSteps &steps);

  /// Asks for each column of the tile that this thread copies, by its number in
  /// the tile.
  void selectColumns(
      llvm::function_ref<ProductPlaces::Column(Value ofTile)> columnAt);

  // As those of TileLoad.
  TileLoad::InFlight fetch(const KSteps::Step &step, Value tileAddress);
  void put(const TileLoad::InFlight &values, Value tileAddress);
  TileLoad::InFlight nothing();

private:
  void selectPacked(
      llvm::function_ref<ProductPlaces::Column(Value ofTile)> columnAt);

  const GemmConfig &config;
  int64_t stepsOfK; // of a packed panel
  TileLoad rows;    // or the values that are kept
  std::optional<TileLoad> positions;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_WEIGHTLOAD_H
