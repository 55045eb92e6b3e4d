//===- MmaSparseTile.cpp - a block's product with 2:4 weights -------------===//

#include "MmaSparseTile.h"

#include "WeightLoad.h"

using namespace mlir;

namespace coppice::nvptx {

/// Columns of K of a product.
constexpr int64_t kColumns = 32;

MmaSparseTile::MmaSparseTile(ImplicitLocOpBuilder &b, KernelShell &shell,
                             const GemmConfig &config, Type element)
    : TileSums(b, shell, config), matrices(b, shell, element),
      tileA{config.rows, config.depth}, values(SparseTile::values(config)) {
  int64_t steps = config.depth / kColumns;
  // The four matrices of A: four chunks of eight rows. Those of W: places 0-7
  // and 8-15, then these of the next chunk.
  placesA =
      placesOf(tileA, add(warpRow, rem(lane(), 8)), div(lane(), 8), 4, steps);
  placesW = placesOf(values, add(warpColumn, rem(lane(), 16)), div(lane(), 16),
                     2, steps);
  // Members 0 and 1 of four lanes give what goes with the first 32 columns of
  // K, members 2 and 3 what goes with the next: a word each, of a place and of
  // the one 8 behind.
  Value group = div(lane(), 4), member = rem(lane(), 4);
  Value chunk = add(mul(div(member, 2), 4), div(group, 2));
  Value word = add(mul(rem(group, 2), 2), rem(member, 2));
  for (int64_t column = 0; column < config.warpColumns; column += 16) {
    Value panel = div(add(warpColumn, column), 16);
    Value place =
        placesOf(SparseTile::positions(config), panel, chunk, 0, 1).front();
    positions.push_back(add(place, mul(word, 4)));
  }
  threadRow = add(warpRow, mul(member, 2));
  threadColumn = add(warpColumn, mul(group, 2));
}

void MmaSparseTile::multiply(Value addressA, Value addressW, Sums &sums) {
  SmallVector<Value> words;
  Value addressOfPositions = at(addressW, values.bytes());
  for (Value place : positions)
    words.push_back(load(b.getI32Type(), at(addressOfPositions, place)));
  for (int64_t step = 0; step < config.depth / kColumns; ++step) {
    SmallVector<SmallVector<Value>> a;
    for (int64_t row = 0; row < config.warpRows; row += 8)
      a.push_back(matrices.load(
          at(at(addressA, placesA[step]), row * tileA.rowBytes())));
    for (auto [j, word] : llvm::enumerate(words)) {
      SmallVector<Value> w = matrices.load(
          at(at(addressW, placesW[step]), 16 * j * values.rowBytes()));
      for (auto [i, fragmentA] : llvm::enumerate(a)) {
        auto four = MutableArrayRef(sums).slice((i * words.size() + j) * 4, 4);
        // A product has both rows of a column side by side, a tile's sums both
        // columns of a row.
        std::swap(four[1], four[2]);
        matrices.multiplySparse(w, fragmentA, word, step, four);
        std::swap(four[1], four[2]);
      }
    }
  }
}

} // namespace coppice::nvptx
