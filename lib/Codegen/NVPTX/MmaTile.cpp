//===- MmaTile.cpp - a block's product of two tiles -----------------------===//

#include "MmaTile.h"

using namespace mlir;

namespace coppice::nvptx {

MmaTile::MmaTile(ImplicitLocOpBuilder &b, KernelShell &shell,
                 const GemmConfig &config, Type element)
    : KernelBuilder(b, shell), config(config), matrices(b, shell, element),
      tileA{config.rows, config.depth}, tileW{config.columns, config.depth} {
  int64_t warpsAcross = config.columns / config.warpColumns;
  Value warpRow = mul(div(warp(), warpsAcross), config.warpRows);
  Value warpColumn = mul(rem(warp(), warpsAcross), config.warpColumns);
  // The four matrices of A: rows 0-7 and 8-15, then these of the next chunk.
  // Those of W: two chunks of its rows 0-7, then of rows 8-15.
  laneA = mapLane(tileA, add(warpRow, rem(lane(), 16)), div(lane(), 16));
  laneW = mapLane(tileW,
                  add(warpColumn, add(mul(div(lane(), 16), 8), rem(lane(), 8))),
                  rem(div(lane(), 8), 2));
  threadRow = add(warpRow, div(lane(), 4));
  threadColumn = add(warpColumn, mul(rem(lane(), 4), 2));
}

MmaTile::Lane MmaTile::mapLane(const SharedTile &tile, Value row, Value half) {
  Lane lane;
  Value swizzle = rem(div(row, tile.swizzleDivisor()), tile.swizzleModulus());
  Value start = mul(row, tile.rowBytes());
  for (int64_t step = 0; step < tile.depth / 16; ++step) {
    Value chunk = exclusive(add(half, 2 * step), swizzle);
    lane.offsets.push_back(add(start, mul(chunk, SharedTile::kChunk)));
  }
  return lane;
}

MmaTile::Sums MmaTile::zeros() {
  return Sums(config.warpRows * config.warpColumns / 32, f32(0));
}

void MmaTile::multiply(Value addressA, Value addressW, Sums &sums) {
  for (int64_t step = 0; step < config.depth / 16; ++step) {
    SmallVector<SmallVector<Value>> a, w;
    for (int64_t row = 0; row < config.warpRows; row += 16)
      a.push_back(matrices.load(
          at(at(addressA, laneA.offsets[step]), row * tileA.rowBytes())));
    for (int64_t column = 0; column < config.warpColumns; column += 16) {
      SmallVector<Value> four = matrices.load(
          at(at(addressW, laneW.offsets[step]), column * tileW.rowBytes()));
      w.push_back({four[0], four[1]});
      w.push_back({four[2], four[3]});
    }
    for (auto [i, fragmentA] : llvm::enumerate(a))
      for (auto [j, fragmentW] : llvm::enumerate(w))
        matrices.multiply(
            fragmentA, fragmentW,
            MutableArrayRef(sums).slice((i * w.size() + j) * 4, 4));
  }
}

} // namespace coppice::nvptx
