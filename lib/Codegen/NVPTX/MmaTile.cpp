//===- MmaTile.cpp - a block's product of two tiles -----------------------===//

#include "MmaTile.h"

using namespace mlir;

namespace coppice::nvptx {

MmaTile::MmaTile(ImplicitLocOpBuilder &b, KernelShell &shell,
                 const GemmConfig &config, Type element)
    : TileSums(b, shell, config), matrices(b, shell, element),
      tileA{config.rows, config.depth}, tileW{config.columns, config.depth} {
  int64_t steps = config.depth / 16;
  // The four matrices of A: rows 0-7 and 8-15, then these of the next chunk.
  // Those of W: two chunks of its rows 0-7, then of rows 8-15.
  placesA =
      placesOf(tileA, add(warpRow, rem(lane(), 16)), div(lane(), 16), 2, steps);
  placesW = placesOf(
      tileW, add(warpColumn, add(mul(div(lane(), 16), 8), rem(lane(), 8))),
      rem(div(lane(), 8), 2), 2, steps);
  threadRow = add(warpRow, div(lane(), 4));
  threadColumn = add(warpColumn, mul(rem(lane(), 4), 2));
}

void MmaTile::multiply(Value addressA, Value addressW, Sums &sums) {
  for (int64_t step = 0; step < config.depth / 16; ++step) {
    SmallVector<SmallVector<Value>> a, w;
    for (int64_t row = 0; row < config.warpRows; row += 16)
      a.push_back(matrices.load(
          at(at(addressA, placesA[step]), row * tileA.rowBytes())));
    for (int64_t column = 0; column < config.warpColumns; column += 16) {
      SmallVector<Value> four = matrices.load(
          at(at(addressW, placesW[step]), column * tileW.rowBytes()));
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
