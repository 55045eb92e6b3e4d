//===- VectorAccess.cpp - vectors of any storage type in memory -----------===//

#include "VectorAccess.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace coppice {

/// `value` as a vector of `element` of the same width.
static Value reinterpret(ImplicitLocOpBuilder &b, Value value, Type element) {
  auto type = cast<VectorType>(value.getType()).clone(element);
  return value.getType() == type
             ? value
             : arith::BitcastOp::create(b, type, value).getResult();
}

Value loadVector(ImplicitLocOpBuilder &b, Value memref, Type storage,
                 int64_t lanes, ValueRange indices, Value mask) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  auto type = VectorType::get(lanes, element);
  Value value;
  if (mask)
    value = vector::MaskedLoadOp::create(
        b, type, memref, indices, mask,
        arith::ConstantOp::create(b, b.getZeroAttr(type)));
  else
    value = vector::LoadOp::create(b, type, memref, indices);
  return reinterpret(b, value, storage);
}

void storeVector(ImplicitLocOpBuilder &b, Value vector, Value memref,
                 ValueRange indices, Value mask) {
  vector = reinterpret(b, vector,
                       cast<MemRefType>(memref.getType()).getElementType());
  if (mask)
    vector::MaskedStoreOp::create(b, memref, indices, mask, vector);
  else
    vector::StoreOp::create(b, vector, memref, indices);
}

Value convertFloat(ImplicitLocOpBuilder &b, Value value, Type element) {
  Type type = element;
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    type = vector.clone(element);
  if (value.getType() == type)
    return value;
  if (getElementTypeOrSelf(value).getIntOrFloatBitWidth() <
      element.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(b, type, value);
  return arith::TruncFOp::create(b, type, value);
}

} // namespace coppice
