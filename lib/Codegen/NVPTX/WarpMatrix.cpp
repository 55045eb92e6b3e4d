//===- WarpMatrix.cpp - products of a warp's matrices ---------------------===//

#include "WarpMatrix.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace coppice::nvptx {

SmallVector<Value> WarpMatrix::load(Value address, bool transposed) {
  MLIRContext *context = b.getContext();
  Type type = LLVM::LLVMStructType::getLiteral(
      context, SmallVector<Type>(4, b.getI32Type()));
  Value loaded = NVVM::LdMatrixOp::create(
      b, type, address, 4,
      transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(context, 8, 8),
      NVVM::LdStMatrixEltType::B16);
  SmallVector<Value> registers;
  for (int64_t i = 0; i < 4; ++i)
    registers.push_back(
        LLVM::ExtractValueOp::create(b, loaded, ArrayRef<int64_t>{i}));
  return registers;
}

Value WarpMatrix::pieceAt(PaddedTile tile, Value row, Value piece) {
  return at(tile.address, add(mul(row, tile.pitch), mul(piece, 16)));
}

SmallVector<Value> WarpMatrix::loadLeft(PaddedTile tile, Value row,
                                        int64_t piece) {
  return load(
      pieceAt(tile, add(row, rem(lane(), 16)), add(div(lane(), 16), piece)));
}

SmallVector<Value> WarpMatrix::loadRight(PaddedTile tile, Value row,
                                         int64_t piece) {
  Value ofLane = add(mul(div(lane(), 16), 8), rem(lane(), 8));
  return load(
      pieceAt(tile, add(row, ofLane), add(rem(div(lane(), 8), 2), piece)));
}

SmallVector<Value> WarpMatrix::loadRightTransposed(PaddedTile tile, Value row,
                                                   int64_t piece) {
  return load(
      pieceAt(tile, add(row, rem(lane(), 16)), add(div(lane(), 16), piece)),
      /*transposed=*/true);
}

SmallVector<Value> WarpMatrix::operandsOf(ValueRange registers) {
  SmallVector<Value> values(registers);
  if (element.isF16())
    for (Value &value : values)
      value = LLVM::BitcastOp::create(b, VectorType::get(2, element), value);
  return values;
}

std::array<NVVM::MMATypes, 2> WarpMatrix::types() const {
  NVVM::MMATypes type =
      element.isF16() ? NVVM::MMATypes::f16 : NVVM::MMATypes::bf16;
  return {type, type};
}

Type WarpMatrix::resultType() {
  return LLVM::LLVMStructType::getLiteral(b.getContext(),
                                          SmallVector<Type>(4, b.getF32Type()));
}

void WarpMatrix::unpack(Value product, MutableArrayRef<Value> sums) {
  for (auto [i, sum] : llvm::enumerate(sums))
    sum =
        LLVM::ExtractValueOp::create(b, product, ArrayRef<int64_t>{int64_t(i)});
}

void WarpMatrix::multiply(ValueRange left, ValueRange right,
                          MutableArrayRef<Value> sums) {
  unpack(NVVM::MmaOp::create(
             b, resultType(), operandsOf(left), operandsOf(right),
             SmallVector<Value>(sums), ArrayRef<int64_t>{16, 8, 16},
             std::nullopt, std::nullopt, types(),
             std::array{NVVM::MMALayout::row, NVVM::MMALayout::col}),
         sums);
}

void WarpMatrix::multiplySparse(ValueRange left, ValueRange right,
                                Value positions, int64_t selector,
                                MutableArrayRef<Value> sums) {
  unpack(NVVM::MmaSpOp::create(
             b, resultType(), operandsOf(left), operandsOf(right),
             SmallVector<Value>(sums), positions, i32(selector),
             ArrayRef<int64_t>{16, 8, 32}, std::nullopt, types()),
         sums);
}

SmallVector<Value> WarpMatrix::pack(ArrayRef<Value> first,
                                    ArrayRef<Value> second) {
  auto pair = [&](Value low, Value high) -> Value {
    Value both = vector::FromElementsOp::create(
        b, VectorType::get(2, b.getF32Type()), ValueRange{low, high});
    return LLVM::BitcastOp::create(b, b.getI32Type(), convert(both, element));
  };
  return {pair(first[0], first[1]), pair(first[2], first[3]),
          pair(second[0], second[1]), pair(second[2], second[3])};
}

} // namespace coppice::nvptx
