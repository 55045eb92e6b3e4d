//===- SelectedWeights.cpp - vectors of N:M weights -----------------------===//

#include "SelectedWeights.h"
#include "VectorAccess.h"

using namespace mlir;

namespace coppice::cpu {

SelectedWeights::SelectedWeights(ImplicitLocOpBuilder &b,
                                 const KernelShell &shell,
                                 const rt::NMLayout &layout, Type weight,
                                 int64_t panel, int64_t lanes, Value weights,
                                 Value first, Value column)
    : KernelBuilder(b, shell), layout(layout), weight(weight), panel(panel),
      lanes(lanes), weights(weights), first(first), column(column),
      floats(VectorType::get(lanes, b.getF32Type())),
      words(VectorType::get(lanes, b.getI32Type())) {}

Value SelectedWeights::constant(uint32_t value) {
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(words, APInt(32, value)));
}

Value SelectedWeights::load(int64_t j, int64_t v) {
  int64_t pack = loaded();
  Value element = add(first, j * panel);
  element = add(element, mul(add(column, v * lanes), pack));
  return loadVector(b, weights, weight, lanes * pack, element);
}

Value SelectedWeights::widen(Value loaded, int64_t part) {
  if (!weight.isBF16())
    return convertFloat(b, loaded, b.getF32Type());
  // A bf16 is the upper half of an f32.
  Value pair = vector::BitCastOp::create(b, words, loaded), word;
  if (part == 0)
    word = arith::ShLIOp::create(b, pair, constant(16));
  else
    word = arith::AndIOp::create(b, pair, constant(0xffff0000));
  return vector::BitCastOp::create(b, floats, word);
}

Value SelectedWeights::bitsOf(Value loaded, int64_t part) {
  if (weight.isF16())
    return arith::ExtUIOp::create(
        b, words,
        vector::BitCastOp::create(b, words.clone(b.getI16Type()), loaded));
  Value bits = vector::BitCastOp::create(b, words, loaded);
  if (!weight.isBF16())
    return bits;
  if (part == 0)
    return arith::AndIOp::create(b, bits, constant(0xffff));
  return arith::ShRUIOp::create(b, bits, constant(16));
}

Value SelectedWeights::positions(int64_t v) {
  int64_t share = layout.share(),
          bits = layout.keptOfStep() * layout.positionBits();
  constexpr int64_t columns = rt::NMLayout::vectorColumns;
  auto stored = cast<MemRefType>(weights.getType());
  int64_t perWord = rt::NMLayout::wordBits / stored.getElementTypeBitWidth();
  // In vectors of the layout.
  Value number = add(div(column, columns), v * (lanes / columns));
  Value element = add(add(first, layout.valueElements()),
                      mul(div(number, share), columns * perWord));
  // Sixteen lanes are two such vectors, in one vector of words or in two.
  int64_t width = share > 1 ? columns : lanes;
  Value bitsOfAll = vector::BitCastOp::create(
      b, VectorType::get(width, b.getI32Type()),
      vector::LoadOp::create(
          b, VectorType::get(width * perWord, stored.getElementType()), weights,
          element));
  if (share == 1)
    return bitsOfAll;
  Value shift = splat(arith::IndexCastOp::create(b, b.getI32Type(),
                                                 mul(rem(number, share), bits)),
                      words);
  if (lanes > columns) {
    bitsOfAll = repeat(bitsOfAll);
    SmallVector<int32_t> halves(lanes, 0);
    std::fill(halves.begin() + columns, halves.end(),
              static_cast<int32_t>(bits));
    shift = arith::AddIOp::create(
        b, shift,
        arith::ConstantOp::create(
            b, DenseElementsAttr::get(words, ArrayRef<int32_t>(halves))));
  }
  return arith::ShRUIOp::create(b, bitsOfAll, shift);
}

Value SelectedWeights::positionOf(Value positions, int64_t j) {
  if (j == 0)
    return positions;
  return arith::ShRUIOp::create(
      b, positions, constant(static_cast<uint32_t>(j * layout.positionBits())));
}

Value SelectedWeights::repeat(Value vector) {
  int64_t width = cast<VectorType>(vector.getType()).getNumElements();
  if (width == lanes)
    return vector;
  SmallVector<int64_t> places;
  for (int64_t lane = 0; lane < lanes; ++lane)
    places.push_back(lane % width);
  return vector::ShuffleOp::create(b, vector, vector, places);
}

} // namespace coppice::cpu
