//===- TileRegisters.cpp - products of AMX tiles --------------------------===//
//
// LLVM's own intrinsics take shapes, and it is LLVM that configures and
// allocates tiles.
//
//===----------------------------------------------------------------------===//

#include "TileRegisters.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace coppice::cpu {

static constexpr int64_t kRowBytes = 64;

Value TileRegisters::constant(int64_t value, unsigned bits) {
  return arith::ConstantOp::create(
      b, b.getIntegerAttr(b.getIntegerType(bits), value));
}

Value TileRegisters::addressOf(Value memref, Value element) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t bytes = type.getElementTypeBitWidth() / 8;
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  Value offset = arith::MulIOp::create(
      b, element, arith::ConstantIndexOp::create(b, bytes));
  address = arith::AddIOp::create(b, address, offset);
  Value word = arith::IndexCastOp::create(b, b.getI64Type(), address);
  return LLVM::IntToPtrOp::create(b, LLVM::LLVMPointerType::get(b.getContext()),
                                  word);
}

Type TileRegisters::type() { return LLVM::LLVMX86AMXType::get(b.getContext()); }

Value TileRegisters::zero() {
  return LLVM::CallIntrinsicOp::create(
             b, type(), b.getStringAttr("llvm.x86.tilezero.internal"),
             ValueRange{constant(rows, 16), constant(kRowBytes, 16)})
      .getResult(0);
}

Value TileRegisters::load(Value memref, Value element, int64_t stride) {
  return LLVM::CallIntrinsicOp::create(
             b, type(), b.getStringAttr("llvm.x86.tileloadd64.internal"),
             ValueRange{constant(rows, 16), constant(kRowBytes, 16),
                        addressOf(memref, element), constant(stride, 64)})
      .getResult(0);
}

void TileRegisters::store(Value tile, Value memref, Value element,
                          int64_t stride) {
  LLVM::CallIntrinsicOp::create(
      b, b.getStringAttr("llvm.x86.tilestored64.internal"),
      ValueRange{constant(rows, 16), constant(kRowBytes, 16),
                 addressOf(memref, element), constant(stride, 64), tile});
}

Value TileRegisters::multiply(Value sums, Value a, Value w) {
  return LLVM::CallIntrinsicOp::create(
             b, sums.getType(), b.getStringAttr("llvm.x86.tdpbf16ps.internal"),
             ValueRange{constant(rows, 16), constant(kRowBytes, 16),
                        constant(kRowBytes, 16), sums, a, w})
      .getResult(0);
}

} // namespace coppice::cpu
