//===- WarpExchange.cpp - shuffles, votes and sums of a warp --------------===//

#include "Floats.h"
#include "ThreadBlock.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace coppice::emulator {
namespace {

//===--- shfl.sync --------------------------------------------------------===//

// Operands: mask, value, offset, segment mask and clamp. Immediates after the
// place of the mask: the kind, and whether the result is a struct.
// PTX ISA, "shfl.sync", says all this in the same names.
void shuffle(ThreadBlock &block, Warp &warp, uint32_t lanes,
             const Instruction &at) {
  auto kind = static_cast<NVVM::ShflKind>(at.immediates[1]);
  bool withPredicate = at.immediates[2];
  forEachLane(lanes, [&](uint32_t index) {
    Thread &thread = block.lane(warp, index);
    int lane = index;
    int b = thread[at.operands[2]] & 0x1f;
    uint32_t c = thread[at.operands[3]];
    int clamp = c & 0x1f, segments = c >> 8 & 0x1f;
    int maxLane = (lane & segments) | (clamp & ~segments);
    int minLane = lane & segments;
    int source = lane;
    bool valid = false;
    switch (kind) {
    case NVVM::ShflKind::up:
      source = lane - b;
      valid = source >= maxLane;
      break;
    case NVVM::ShflKind::down:
      source = lane + b;
      valid = source <= maxLane;
      break;
    case NVVM::ShflKind::bfly:
      source = lane ^ b;
      valid = source <= maxLane;
      break;
    case NVVM::ShflKind::idx:
      source = minLane | (b & ~segments);
      valid = source <= maxLane;
      break;
    }
    if (!valid)
      source = lane;
    if (!(lanes >> source & 1)) {
      block.fault(Fault::Kind::Invalid, thread, at,
                  llvm::formatv("expected the source lane {0} to be one of the "
                                "mask {1:x8}, found that it is not",
                                source, lanes));
      source = lane;
    }
    thread[at.result] = block.lane(warp, source)[at.operands[1]];
    if (withPredicate)
      thread[at.result + 1] = valid;
  });
}

LogicalResult decodeShuffle(FunctionDecoder &decoder, Operation *op) {
  auto exchange = cast<NVVM::ShflOp>(op);
  decoder.emitWarp(op, shuffle, /*maskOperand=*/0)
      .immediates.append({static_cast<int64_t>(exchange.getKind()),
                          exchange.getReturnValueAndIsValid().value_or(false)});
  return success();
}

//===--- vote, redux, elect -----------------------------------------------===//

// Operands: mask and predicate. Immediate after the mask's place: the kind.
void vote(ThreadBlock &block, Warp &warp, uint32_t lanes,
          const Instruction &at) {
  uint32_t ballot = 0;
  forEachLane(lanes, [&](uint32_t index) {
    ballot |= uint32_t(block.lane(warp, index)[at.operands[1]] & 1) << index;
  });
  uint32_t result = 0;
  switch (static_cast<NVVM::VoteSyncKind>(at.immediates[1])) {
  case NVVM::VoteSyncKind::any:
    result = ballot != 0;
    break;
  case NVVM::VoteSyncKind::all:
    result = ballot == lanes;
    break;
  case NVVM::VoteSyncKind::ballot:
    result = ballot;
    break;
  case NVVM::VoteSyncKind::uni:
    result = ballot == 0 || ballot == lanes;
    break;
  }
  forEachLane(lanes, [&](uint32_t index) {
    block.lane(warp, index)[at.result] = result;
  });
}

LogicalResult decodeVote(FunctionDecoder &decoder, Operation *op) {
  decoder.emitWarp(op, vote, /*maskOperand=*/0)
      .immediates.push_back(
          static_cast<int64_t>(cast<NVVM::VoteSyncOp>(op).getKind()));
  return success();
}

uint32_t combine(NVVM::ReduxKind kind, uint32_t a, uint32_t b) {
  switch (kind) {
  case NVVM::ReduxKind::AND:
    return a & b;
  case NVVM::ReduxKind::OR:
    return a | b;
  case NVVM::ReduxKind::XOR:
    return a ^ b;
  case NVVM::ReduxKind::UMAX:
    return std::max(a, b);
  case NVVM::ReduxKind::UMIN:
    return std::min(a, b);
  case NVVM::ReduxKind::MAX:
    return std::max<int32_t>(a, b);
  case NVVM::ReduxKind::MIN:
    return std::min<int32_t>(a, b);
  default:
    return a + b;
  }
}

// Operands: value and mask. Immediate after the mask's place: the kind.
void reduce(ThreadBlock &block, Warp &warp, uint32_t lanes,
            const Instruction &at) {
  auto kind = static_cast<NVVM::ReduxKind>(at.immediates[1]);
  std::optional<uint32_t> result;
  forEachLane(lanes, [&](uint32_t index) {
    uint32_t value = block.lane(warp, index)[at.operands[0]];
    result = result ? combine(kind, *result, value) : value;
  });
  forEachLane(lanes, [&](uint32_t index) {
    block.lane(warp, index)[at.result] = *result;
  });
}

LogicalResult decodeReduce(FunctionDecoder &decoder, Operation *op) {
  auto sum = cast<NVVM::ReduxOp>(op);
  if (!sum.getType().isInteger(32))
    return decoder.error(op) << "expected i32, found " << sum.getType();
  decoder.emitWarp(op, reduce, /*maskOperand=*/1)
      .immediates.push_back(static_cast<int64_t>(sum.getKind()));
  return success();
}

// A GPU may elect any lane; kernels that care are wrong.
void elect(ThreadBlock &block, Warp &warp, uint32_t lanes,
           const Instruction &at) {
  uint32_t leader = llvm::countr_zero(lanes);
  forEachLane(lanes, [&](uint32_t index) {
    block.lane(warp, index)[at.result] = index == leader;
  });
}

LogicalResult decodeElect(FunctionDecoder &decoder, Operation *op) {
  decoder.emitWarp(op, elect,
                   op->getNumOperands() ? std::optional(0u) : std::nullopt);
  return success();
}

//===--- bar.warp.sync ----------------------------------------------------===//

// Of all ops of a warp, the one that orders memory.
void synchronize(ThreadBlock &block, Warp &warp, uint32_t lanes,
                 const Instruction &) {
  SmallVector<uint32_t> indices;
  forEachLane(lanes,
              [&](uint32_t index) { indices.push_back(warp.first + index); });
  block.synchronize(indices);
}

LogicalResult decodeSynchronize(FunctionDecoder &decoder, Operation *op) {
  decoder.emitWarp(op, synchronize, /*maskOperand=*/0);
  return success();
}

} // namespace

void addWarpExchange(OpTable &table) {
  table["nvvm.shfl.sync"] = decodeShuffle;
  table["nvvm.vote.sync"] = decodeVote;
  table["nvvm.redux.sync"] = decodeReduce;
  table["nvvm.elect.sync"] = decodeElect;
  table["nvvm.bar.warp.sync"] = decodeSynchronize;
}

} // namespace coppice::emulator
