//===- MmaTile.cpp - a block's product of two tiles -----------------------===//

#include "MmaTile.h"

using namespace mlir;

namespace coppice::nvptx {

MmaTile::MmaTile(ImplicitLocOpBuilder &b, KernelShell &shell,
                 const GemmConfig &config, Type element)
    : KernelBuilder(b, shell), config(config), element(element),
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

SmallVector<Value> MmaTile::loadMatrices(Value address) {
  MLIRContext *context = b.getContext();
  Type type = LLVM::LLVMStructType::getLiteral(
      context, SmallVector<Type>(4, b.getI32Type()));
  Value loaded =
      NVVM::LdMatrixOp::create(b, type, address, 4, NVVM::MMALayout::row,
                               NVVM::LdStMatrixShapeAttr::get(context, 8, 8),
                               NVVM::LdStMatrixEltType::B16);
  SmallVector<Value> registers;
  for (int64_t i = 0; i < 4; ++i) {
    Value each = LLVM::ExtractValueOp::create(b, loaded, ArrayRef<int64_t>{i});
    // `mma` takes f16 in vectors, bf16 in numbers of 32 bits.
    if (element.isF16())
      each = LLVM::BitcastOp::create(b, VectorType::get({2}, element), each);
    registers.push_back(each);
  }
  return registers;
}

void MmaTile::multiply(ArrayRef<Value> a, ArrayRef<Value> w,
                       MutableArrayRef<Value> sums) {
  NVVM::MMATypes type =
      element.isF16() ? NVVM::MMATypes::f16 : NVVM::MMATypes::bf16;
  Type result = LLVM::LLVMStructType::getLiteral(
      b.getContext(), SmallVector<Type>(4, b.getF32Type()));
  Value product = NVVM::MmaOp::create(
      b, result, a, w, SmallVector<Value>(sums), ArrayRef<int64_t>{16, 8, 16},
      std::nullopt, std::nullopt, std::array{type, type},
      std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
  for (auto [i, sum] : llvm::enumerate(sums))
    sum =
        LLVM::ExtractValueOp::create(b, product, ArrayRef<int64_t>{int64_t(i)});
}

void MmaTile::multiply(Value addressA, Value addressW, Sums &sums) {
  for (int64_t step = 0; step < config.depth / 16; ++step) {
    SmallVector<SmallVector<Value>> a, w;
    for (int64_t row = 0; row < config.warpRows; row += 16)
      a.push_back(loadMatrices(
          at(at(addressA, laneA.offsets[step]), row * tileA.rowBytes())));
    for (int64_t column = 0; column < config.warpColumns; column += 16) {
      SmallVector<Value> four = loadMatrices(
          at(at(addressW, laneW.offsets[step]), column * tileW.rowBytes()));
      w.push_back({four[0], four[1]});
      w.push_back({four[2], four[3]});
    }
    for (auto [i, fragmentA] : llvm::enumerate(a))
      for (auto [j, fragmentW] : llvm::enumerate(w))
        multiply(fragmentA, fragmentW,
                 MutableArrayRef(sums).slice((i * w.size() + j) * 4, 4));
  }
}

} // namespace coppice::nvptx
