//===- TileSums.cpp - where the sums of a block's tile are ----------------===//

#include "TileSums.h"

using namespace mlir;

namespace coppice::nvptx {

TileSums::TileSums(ImplicitLocOpBuilder &b, KernelShell &shell,
                   const GemmConfig &config)
    : KernelBuilder(b, shell), config(config) {
  int64_t warpsAcross = config.columns / config.warpColumns;
  warpRow = mul(div(warp(), warpsAcross), config.warpRows);
  warpColumn = mul(rem(warp(), warpsAcross), config.warpColumns);
}

TileSums::Sums TileSums::zeros() {
  return Sums(config.warpRows * config.warpColumns / 32, f32(0));
}

SmallVector<Value> TileSums::placesOf(const SharedTile &tile, Value row,
                                      Value first, int64_t stride,
                                      int64_t count) {
  SmallVector<Value> places;
  Value swizzle = rem(div(row, tile.swizzleDivisor()), tile.swizzleModulus());
  Value start = mul(row, tile.rowBytes());
  for (int64_t i = 0; i < count; ++i) {
    Value chunk = exclusive(add(first, stride * i), swizzle);
    places.push_back(add(start, mul(chunk, SharedTile::kChunk)));
  }
  return places;
}

} // namespace coppice::nvptx
