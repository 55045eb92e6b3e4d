//===- Aggregates.cpp - constants, and parts of vectors and structs -------===//
//
// Vectors and structs are runs of registers, so most of this is copying.
//
//===----------------------------------------------------------------------===//

#include "Numbers.h"
#include "ThreadBlock.h"

using namespace mlir;

namespace coppice::emulator {
namespace {

//===--- Known when decoded -----------------------------------------------===//

LogicalResult decodeConstant(FunctionDecoder &decoder, Operation *op) {
  Attribute value = cast<LLVM::ConstantOp>(op).getValue();
  SmallVector<uint64_t> registers = numbersOf(value);
  FailureOr<Layout> layout = layoutOf(op->getResult(0).getType());
  if (registers.size() != layout->count())
    return decoder.error(op)
           << "expected numbers for " << op->getResult(0).getType()
           << ", found " << value;
  for (auto [number, leaf] : llvm::zip(registers, layout->leaves))
    number = truncate(number, leaf.scalar.bits);
  decoder.setConstant(op->getResult(0), registers);
  return success();
}

LogicalResult decodeZero(FunctionDecoder &decoder, Operation *op) {
  decoder.placeOf(op->getResult(0)); // registers start as zeros
  return success();
}

LogicalResult decodeUndefined(FunctionDecoder &decoder, Operation *op) {
  // Visible where it should not be.
  SmallVector<uint64_t> registers;
  FailureOr<Layout> layout = layoutOf(op->getResult(0).getType());
  for (const Leaf &leaf : layout->leaves)
    registers.push_back(truncate(0x7fc17fc17fc17fc1, leaf.scalar.bits));
  decoder.setConstant(op->getResult(0), registers);
  return success();
}

//===--- Parts at a known place -------------------------------------------===//

// Immediate: the first register of the part.
Step extract(ThreadBlock &, Thread &thread, const Instruction &at) {
  std::copy_n(&thread[at.operands[0] + at.immediates[0]], at.count,
              &thread[at.result]);
  return Step::Next;
}

// Operands: the whole, the part. Immediates: where, and how many registers.
Step insert(ThreadBlock &, Thread &thread, const Instruction &at) {
  std::copy_n(&thread[at.operands[0]], at.count, &thread[at.result]);
  std::copy_n(&thread[at.operands[1]], at.immediates[1],
              &thread[at.result + at.immediates[0]]);
  return Step::Next;
}

/// The first register of a member, from the start of the whole.
uint32_t registerOf(Type type, ArrayRef<int64_t> position) {
  uint32_t place = 0;
  for (int64_t index : position) {
    if (auto structure = dyn_cast<LLVM::LLVMStructType>(type)) {
      for (Type member : structure.getBody().take_front(index))
        place += layoutOf(member)->count();
      type = structure.getBody()[index];
      continue;
    }
    type = cast<LLVM::LLVMArrayType>(type).getElementType();
    place += index * layoutOf(type)->count();
  }
  return place;
}

LogicalResult decodeExtractValue(FunctionDecoder &decoder, Operation *op) {
  auto value = cast<LLVM::ExtractValueOp>(op);
  decoder.emit(op, extract).immediates = {
      registerOf(value.getContainer().getType(), value.getPosition())};
  return success();
}

LogicalResult decodeInsertValue(FunctionDecoder &decoder, Operation *op) {
  auto value = cast<LLVM::InsertValueOp>(op);
  Instruction &at = decoder.emit(op, insert);
  at.operands = {decoder.placeOf(value.getContainer()),
                 decoder.placeOf(value.getValue())};
  at.immediates = {
      registerOf(value.getContainer().getType(), value.getPosition()),
      layoutOf(value.getValue().getType())->count()};
  return success();
}

//===--- Vectors ----------------------------------------------------------===//

bool checkIndex(ThreadBlock &block, const Thread &thread, const Instruction &at,
                uint64_t index, uint64_t count) {
  if (index < count)
    return true;
  block.fault(Fault::Kind::Invalid, thread, at,
              "expected an element below " + std::to_string(count) +
                  ", found " + std::to_string(index));
  return false;
}

// Immediate: elements of the vector.
Step extractElement(ThreadBlock &block, Thread &thread, const Instruction &at) {
  uint64_t index = thread[at.operands[1]];
  if (checkIndex(block, thread, at, index, at.immediates[0]))
    thread[at.result] = thread[at.operands[0] + index];
  return Step::Next;
}

Step insertElement(ThreadBlock &block, Thread &thread, const Instruction &at) {
  uint64_t index = thread[at.operands[2]];
  std::copy_n(&thread[at.operands[0]], at.count, &thread[at.result]);
  if (checkIndex(block, thread, at, index, at.count))
    thread[at.result + index] = thread[at.operands[1]];
  return Step::Next;
}

// Immediates: the register of each element, from the first of either operand;
// those of the second operand follow at `elements of the first`.
Step shuffle(ThreadBlock &, Thread &thread, const Instruction &at) {
  int64_t split = at.immediates[0];
  for (uint32_t i = 0; i < at.count; ++i) {
    int64_t from = std::max<int64_t>(at.immediates[1 + i], 0);
    thread[at.result + i] = from < split
                                ? thread[at.operands[0] + from]
                                : thread[at.operands[1] + from - split];
  }
  return Step::Next;
}

LogicalResult decodeExtractElement(FunctionDecoder &decoder, Operation *op) {
  decoder.emit(op, extractElement).immediates = {
      cast<VectorType>(op->getOperand(0).getType()).getNumElements()};
  return success();
}

LogicalResult decodeInsertElement(FunctionDecoder &decoder, Operation *op) {
  auto element = cast<LLVM::InsertElementOp>(op);
  decoder.emit(op, insertElement).operands = {
      decoder.placeOf(element.getVector()), decoder.placeOf(element.getValue()),
      decoder.placeOf(element.getPosition())};
  return success();
}

LogicalResult decodeShuffle(FunctionDecoder &decoder, Operation *op) {
  auto mixed = cast<LLVM::ShuffleVectorOp>(op);
  Instruction &at = decoder.emit(op, shuffle);
  at.immediates = {cast<VectorType>(mixed.getV1().getType()).getNumElements()};
  at.immediates.append(mixed.getMask().begin(), mixed.getMask().end());
  return success();
}

//===--- The same bits as another type ------------------------------------===//

Step bitcast(ThreadBlock &, Thread &thread, const Instruction &at) {
  unsigned from = at.scalar.bits, to = at.to.bits;
  for (uint32_t i = 0; i < at.count; ++i) {
    uint64_t value = 0;
    // Both are powers of two, so an element is part of one or all of several.
    for (unsigned bit = 0; bit < to; bit += std::min(from, to)) {
      unsigned position = i * to + bit;
      value |=
          truncate(thread[at.operands[0] + position / from] >> position % from,
                   std::min(from, to))
          << bit;
    }
    thread[at.result + i] = value;
  }
  return Step::Next;
}

LogicalResult decodeBitcast(FunctionDecoder &decoder, Operation *op) {
  FailureOr<Scalar> from = decoder.scalarOf(op, op->getOperand(0));
  FailureOr<Scalar> to = decoder.scalarOf(op, op->getResult(0));
  if (failed(from) || failed(to))
    return failure();
  if (!llvm::isPowerOf2_32(from->bits) || !llvm::isPowerOf2_32(to->bits))
    return decoder.error(op) << "expected elements of 1, 2, 4, .. bits";
  Instruction &at = decoder.emit(op, bitcast);
  at.scalar = *from;
  at.to = *to;
  return success();
}

} // namespace

void addAggregates(OpTable &table) {
  table["llvm.mlir.constant"] = decodeConstant;
  table["llvm.mlir.zero"] = decodeZero;
  table["llvm.mlir.undef"] = decodeUndefined;
  table["llvm.mlir.poison"] = decodeUndefined;
  table["llvm.extractvalue"] = decodeExtractValue;
  table["llvm.insertvalue"] = decodeInsertValue;
  table["llvm.extractelement"] = decodeExtractElement;
  table["llvm.insertelement"] = decodeInsertElement;
  table["llvm.shufflevector"] = decodeShuffle;
  table["llvm.bitcast"] = decodeBitcast;
}

} // namespace coppice::emulator
