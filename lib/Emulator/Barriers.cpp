//===- Barriers.cpp - barriers of a block ---------------------------------===//

#include "ThreadBlock.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;

namespace coppice::emulator {
namespace {

// Operands, as the immediates say: the barrier's number, and of threads.
Step arrive(ThreadBlock &block, Thread &thread, const Instruction &at) {
  bool hasId = at.immediates[0], hasCount = at.immediates[1];
  bool waits = at.immediates[2];
  uint32_t id = hasId ? thread[at.operands[0]] : 0;
  uint32_t count = hasCount ? thread[at.operands[hasId]] : 0;
  return block.arriveAtBarrier(thread, at, id, count, waits);
}

LogicalResult decodeBarrier0(FunctionDecoder &decoder, Operation *op) {
  decoder.emit(op, arrive).immediates = {false, false, true};
  return success();
}

LogicalResult decodeBarrier(FunctionDecoder &decoder, Operation *op) {
  auto barrier = cast<NVVM::BarrierOp>(op);
  if (barrier.getReductionOp())
    return decoder.error(op) << "expected a barrier without a reduction";
  decoder.emit(op, arrive).immediates = {
      barrier.getBarrierId() != nullptr,
      barrier.getNumberOfThreads() != nullptr, true};
  return success();
}

LogicalResult decodeArrive(FunctionDecoder &decoder, Operation *op) {
  auto barrier = cast<NVVM::BarrierArriveOp>(op);
  decoder.emit(op, arrive).immediates = {barrier.getBarrierId() != nullptr,
                                         true, false};
  return success();
}

/// Fences order what one thread does as others see it; the order between
/// threads is that of barriers.
Step fence(ThreadBlock &, Thread &, const Instruction &) { return Step::Next; }

LogicalResult decodeFence(FunctionDecoder &decoder, Operation *op) {
  decoder.emit(op, fence);
  return success();
}

} // namespace

void addBarriers(OpTable &table) {
  table["nvvm.barrier0"] = decodeBarrier0;
  table["nvvm.barrier"] = decodeBarrier;
  table["nvvm.barrier.arrive"] = decodeArrive;
  table["nvvm.memory.barrier"] = decodeFence;
  table["llvm.fence"] = decodeFence;
}

} // namespace coppice::emulator
