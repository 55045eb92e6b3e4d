//===- LoadsStores.cpp - addresses, loads and stores ----------------------===//

#include "Floats.h"
#include "ThreadBlock.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/FormatVariadic.h"
#include <cstring>

using namespace mlir;

namespace coppice::emulator {
namespace {

//===--- Addresses --------------------------------------------------------===//

// Operands: the base and the dynamic indices. Immediates: the constant part in
// bytes; then for each dynamic index its stride in bytes and its width.
Step computeAddress(ThreadBlock &, Thread &thread, const Instruction &at) {
  uint64_t address = thread[at.operands[0]] + at.immediates[0];
  for (size_t i = 1; i < at.operands.size(); ++i)
    address += signExtend(thread[at.operands[i]], at.immediates[2 * i]) *
               at.immediates[2 * i - 1];
  thread[at.result] = address;
  return Step::Next;
}

LogicalResult decodeAddress(FunctionDecoder &decoder, Operation *op) {
  auto pointer = cast<LLVM::GEPOp>(op);
  if (!isa<LLVM::LLVMPointerType>(pointer.getType()))
    return decoder.error(op)
           << "expected one pointer, found " << pointer.getType();
  int64_t offset = 0;
  SmallVector<int64_t> steps; // stride and width of each dynamic index
  Type type = pointer.getElemType();
  for (auto [position, index] : llvm::enumerate(pointer.getIndices())) {
    // The first index steps over the whole, later ones go into it.
    Type element = type;
    if (position > 0) {
      if (auto structure = dyn_cast<LLVM::LLVMStructType>(type)) {
        int64_t member = cast<IntegerAttr>(index).getInt();
        uint64_t begin = 0;
        for (auto [i, part] : llvm::enumerate(structure.getBody())) {
          FailureOr<Layout> layout = layoutOf(part);
          if (failed(layout))
            return decoder.error(op) << "no layout for type " << part;
          begin = llvm::alignTo(begin,
                                structure.isPacked() ? 1 : layout->alignment);
          if (static_cast<int64_t>(i) == member)
            break;
          begin += layout->size;
        }
        offset += begin;
        type = structure.getBody()[member];
        continue;
      }
      if (auto array = dyn_cast<LLVM::LLVMArrayType>(type))
        element = array.getElementType();
      else if (auto vector = dyn_cast<VectorType>(type))
        element = vector.getElementType();
      else
        return decoder.error(op) << "cannot index into " << type;
      type = element;
    }
    FailureOr<Layout> layout = layoutOf(element);
    if (failed(layout))
      return decoder.error(op) << "no layout for type " << element;
    int64_t stride = llvm::alignTo(layout->size, layout->alignment);
    if (auto constant = dyn_cast<IntegerAttr>(index)) {
      offset += constant.getInt() * stride;
      continue;
    }
    auto width = dyn_cast<IntegerType>(cast<Value>(index).getType());
    if (!width)
      return decoder.error(op) << "expected one index, found a vector";
    steps.append({stride, width.getWidth()});
  }
  Instruction &at = decoder.emit(op, computeAddress);
  at.immediates = {offset};
  at.immediates.append(steps.begin(), steps.end());
  return success();
}

LogicalResult decodeAddressOf(FunctionDecoder &decoder, Operation *op) {
  auto global = SymbolTable::lookupNearestSymbolFrom<LLVM::GlobalOp>(
      op, cast<LLVM::AddressOfOp>(op).getGlobalNameAttr());
  FailureOr<uint64_t> address = decoder.addressOf(op, global);
  if (failed(address))
    return failure();
  decoder.setConstant(op->getResult(0), *address);
  return success();
}

// Immediates: bytes, alignment, and whether the pointer is generic.
Step allocate(ThreadBlock &block, Thread &thread, const Instruction &at) {
  uint64_t begin = llvm::alignTo(thread.local.size(), at.immediates[1]);
  if (begin + at.immediates[0] > kLocalBytes) {
    block.fault(Fault::Kind::OutOfBounds, thread, at,
                llvm::formatv("expected at most {0} bytes of local memory, "
                              "found more (an alloca in a loop?)",
                              kLocalBytes));
    block.launched().givenUp = true;
    return Step::Stop;
  }
  while (thread.local.size() < begin + at.immediates[0])
    thread.local.push_back(fillByte(thread.local.size()));
  thread.localInitialized.resize(thread.local.size(), false);
  thread[at.result] = begin + (at.immediates[2] ? kLocalWindow : 0);
  return Step::Next;
}

LogicalResult decodeAlloca(FunctionDecoder &decoder, Operation *op) {
  auto alloca = cast<LLVM::AllocaOp>(op);
  APInt count;
  FailureOr<Layout> layout = layoutOf(alloca.getElemType());
  if (failed(layout) ||
      !matchPattern(alloca.getArraySize(), m_ConstantInt(&count)))
    return decoder.error(op) << "expected a constant number of elements";
  int64_t stride = llvm::alignTo(layout->size, layout->alignment);
  int64_t alignment =
      std::max<int64_t>(alloca.getAlignment().value_or(0), layout->alignment);
  decoder.emit(op, allocate).immediates = {
      stride * count.getSExtValue(), alignment,
      alloca.getRes().getType().getAddressSpace() == kGeneric};
  return success();
}

//===--- Loads and stores -------------------------------------------------===//

constexpr uint64_t kMaxAccess = 512; // bytes

void unpack(const Layout &layout, const uint8_t *bytes, uint64_t *registers) {
  for (const Leaf &leaf : layout.leaves) {
    uint64_t value = 0;
    std::memcpy(&value, bytes + leaf.offset, leaf.scalar.bytes());
    *registers++ = truncate(value, leaf.scalar.bits);
  }
}

void pack(const Layout &layout, const uint64_t *registers, uint8_t *bytes) {
  for (const Leaf &leaf : layout.leaves)
    std::memcpy(bytes + leaf.offset, registers++, leaf.scalar.bytes());
}

// Operand: the pointer. Immediates: its space, and the alignment.
Step load(ThreadBlock &block, Thread &thread, const Instruction &at) {
  uint8_t bytes[kMaxAccess];
  block.load(thread, at, at.immediates[0], thread[at.operands[0]],
             at.layout->size, at.immediates[1], bytes);
  unpack(*at.layout, bytes, &thread[at.result]);
  return Step::Next;
}

// Operands: the value and the pointer.
Step store(ThreadBlock &block, Thread &thread, const Instruction &at) {
  uint8_t bytes[kMaxAccess] = {};
  pack(*at.layout, &thread[at.operands[0]], bytes);
  block.store(thread, at, at.immediates[0], thread[at.operands[1]],
              at.layout->size, at.immediates[1], bytes);
  return Step::Next;
}

template <typename Op>
LogicalResult decodeAccess(FunctionDecoder &decoder, Op op, Type type,
                           Run run) {
  if (op.getOrdering() != LLVM::AtomicOrdering::not_atomic)
    return decoder.error(op) << "expected no atomic ordering";
  FailureOr<Layout> layout = layoutOf(type);
  if (failed(layout) || layout->size > kMaxAccess || layout->leaves.empty())
    return decoder.error(op)
           << "expected 1 to " << kMaxAccess << " bytes, found " << type;
  for (auto [i, leaf] : llvm::enumerate(layout->leaves))
    if (leaf.scalar.bits % 8 && layout->count() > 1)
      return decoder.error(op)
             << "expected elements of whole bytes, found " << type;
  Instruction &at = decoder.emit(op, run);
  at.immediates = {
      cast<LLVM::LLVMPointerType>(op.getAddr().getType()).getAddressSpace(),
      static_cast<int64_t>(op.getAlignment().value_or(layout->alignment))};
  at.layout = std::make_unique<Layout>(std::move(*layout));
  return success();
}

LogicalResult decodeLoad(FunctionDecoder &decoder, Operation *op) {
  auto access = cast<LLVM::LoadOp>(op);
  return decodeAccess(decoder, access, access.getType(), load);
}

LogicalResult decodeStore(FunctionDecoder &decoder, Operation *op) {
  auto access = cast<LLVM::StoreOp>(op);
  return decodeAccess(decoder, access, access.getValue().getType(), store);
}

//===--- Atomics ----------------------------------------------------------===//

std::optional<uint64_t> combine(LLVM::AtomicBinOp kind, Scalar scalar,
                                uint64_t old, uint64_t value) {
  switch (kind) {
  case LLVM::AtomicBinOp::xchg:
    return value;
  case LLVM::AtomicBinOp::add:
    return old + value;
  case LLVM::AtomicBinOp::sub:
    return old - value;
  case LLVM::AtomicBinOp::_and:
    return old & value;
  case LLVM::AtomicBinOp::_or:
    return old | value;
  case LLVM::AtomicBinOp::_xor:
    return old ^ value;
  case LLVM::AtomicBinOp::umax:
    return std::max(old, value);
  case LLVM::AtomicBinOp::umin:
    return std::min(old, value);
  case LLVM::AtomicBinOp::max:
    return signExtend(old, scalar.bits) > signExtend(value, scalar.bits)
               ? old
               : value;
  case LLVM::AtomicBinOp::min:
    return signExtend(old, scalar.bits) < signExtend(value, scalar.bits)
               ? old
               : value;
  case LLVM::AtomicBinOp::fadd:
    return applyFloat(
        scalar.kind, [](auto a, auto b) { return a + b; }, old, value);
  default:
    return std::nullopt;
  }
}

// Operands: the pointer and the value. Immediates: the space, the kind.
Step atomic(ThreadBlock &block, Thread &thread, const Instruction &at) {
  unsigned bytes = at.scalar.bytes();
  std::optional<ThreadBlock::Place> place =
      block.find(thread, at, at.immediates[0], thread[at.operands[0]], bytes,
                 bytes, /*write=*/true);
  if (!place)
    return Step::Next;
  block.noteRead(thread, at, *place, bytes, /*atomic=*/true);
  block.noteWrite(thread, at, *place, bytes, /*atomic=*/true);
  uint64_t old = 0;
  std::memcpy(&old, place->data, bytes);
  uint64_t value = *combine(static_cast<LLVM::AtomicBinOp>(at.immediates[1]),
                            at.scalar, old, thread[at.operands[1]]);
  std::memcpy(place->data, &value, bytes);
  thread[at.result] = old;
  return Step::Next;
}

LogicalResult decodeAtomic(FunctionDecoder &decoder, Operation *op) {
  auto update = cast<LLVM::AtomicRMWOp>(op);
  FailureOr<Scalar> scalar = decoder.scalarOf(op, update.getVal());
  if (failed(scalar))
    return failure();
  if (isa<VectorType>(update.getVal().getType()) ||
      !combine(update.getBinOp(), *scalar, 0, 0))
    return decoder.error(op)
           << "found " << LLVM::stringifyAtomicBinOp(update.getBinOp())
           << " of " << update.getVal().getType();
  Instruction &at = decoder.emit(op, atomic);
  at.scalar = *scalar;
  at.immediates = {
      cast<LLVM::LLVMPointerType>(update.getPtr().getType()).getAddressSpace(),
      static_cast<int64_t>(update.getBinOp())};
  return success();
}

} // namespace

void addLoadsAndStores(OpTable &table) {
  table["llvm.getelementptr"] = decodeAddress;
  table["llvm.mlir.addressof"] = decodeAddressOf;
  table["llvm.alloca"] = decodeAlloca;
  table["llvm.load"] = decodeLoad;
  table["llvm.store"] = decodeStore;
  table["llvm.atomicrmw"] = decodeAtomic;
}

} // namespace coppice::emulator
