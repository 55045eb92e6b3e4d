//===- AsyncCopies.cpp - cp.async in flight -------------------------------===//
//
// nvvm.cp.async.shared.global, .commit.group and .wait.group, and waits that
// are inline assembly or calls of intrinsics.
//
//===----------------------------------------------------------------------===//

#include "AsyncCopies.h"
#include "Numbers.h"
#include "ThreadBlock.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/Support/FormatVariadic.h"
#include <cstring>

using namespace mlir;

namespace coppice::emulator {

//===--- The copies of a block --------------------------------------------===//

void AsyncCopies::move(AsyncCopy &copy) {
  if (std::exchange(copy.moved, true))
    return;
  uint8_t *to = shared + copy.destination;
  if (copy.sourceBytes)
    std::memcpy(to, copy.source, copy.sourceBytes);
  std::memset(to + copy.sourceBytes, 0, copy.bytes - copy.sourceBytes);
}

uint32_t AsyncCopies::issue(const AsyncCopy &copy) {
  copies.push_back(copy);
  uint32_t id = copies.size();
  if (time == CopyTime::Early)
    move(copies.back());
  if (time == CopyTime::Random)
    unmoved.push_back(id);
  return id;
}

const AsyncCopy &AsyncCopies::finish(uint32_t id) {
  AsyncCopy &copy = copies[id - 1];
  move(copy);
  copy.waited = true;
  while (firstUnfinished < copies.size() && copies[firstUnfinished].waited)
    ++firstUnfinished;
  return copy;
}

void AsyncCopies::passTime() {
  if (unmoved.empty())
    return;
  for (size_t count = random() % 4; count > 0 && !unmoved.empty(); --count) {
    size_t chosen = random() % unmoved.size();
    move(copies[unmoved[chosen] - 1]);
    unmoved[chosen] = unmoved.back();
    unmoved.pop_back();
  }
}

uint32_t AsyncCopies::reading(uint64_t address, uint64_t bytes) const {
  for (size_t i = firstUnfinished; i < copies.size(); ++i) {
    const AsyncCopy &copy = copies[i];
    if (!copy.waited && copy.sourceBytes &&
        address < copy.address + copy.sourceBytes &&
        copy.address < address + bytes)
      return i + 1;
  }
  return 0;
}

//===--- What threads do with them ----------------------------------------===//

void ThreadBlock::startCopy(Thread &thread, const Instruction &at,
                            uint64_t destination, uint64_t source,
                            uint32_t bytes, uint32_t sourceBytes) {
  copies.passTime();
  if (sourceBytes > bytes) {
    fault(Fault::Kind::Invalid, thread, at,
          llvm::formatv("expected at most {0} bytes to be read, found {1}",
                        bytes, sourceBytes));
    sourceBytes = bytes;
  }
  // Where nothing is read, the source may point anywhere.
  std::optional<Place> from;
  if (sourceBytes) {
    from = find(thread, at, kGlobal, source, sourceBytes, bytes,
                /*write=*/false);
    if (!from)
      return;
    noteRead(thread, at, *from, sourceBytes);
  }
  std::optional<Place> to =
      find(thread, at, kShared, destination, bytes, bytes, /*write=*/true);
  if (!to)
    return;
  // It may write from now on: what others did there must have happened before.
  noteWrite(thread, at, *to, bytes);
  uint32_t id =
      copies.issue({&at, thread.index, to->offset, from ? from->address : 0,
                    from ? from->data : nullptr, bytes, sourceBytes});
  thread.copies.open.push_back(id);
  for (uint64_t byte = 0; byte < bytes; ++byte)
    to->shadow->at(to->offset + byte).copy = id;
}

void ThreadBlock::waitForCopies(Thread &thread, size_t groupsLeft) {
  copies.passTime();
  std::deque<SmallVector<uint32_t>> &groups = thread.copies.committed;
  while (groups.size() > groupsLeft) {
    for (uint32_t id : groups.front()) {
      const AsyncCopy &copy = copies.finish(id);
      for (uint64_t byte = 0; byte < copy.bytes; ++byte) {
        Cell &cell = sharedShadow.at(copy.destination + byte);
        if (cell.copy != id)
          continue; // another copy came over it, which was reported
        cell.copy = 0;
        cell.reads.clear();
        cell.write = accessBy(thread, *copy.at, /*atomic=*/false);
      }
    }
    groups.pop_front();
  }
}

//===--- Ops --------------------------------------------------------------===//

namespace {

// Operands: destination, source, and bytes to read if there is a third.
// Immediate: bytes to write.
Step copyAsync(ThreadBlock &block, Thread &thread, const Instruction &at) {
  uint32_t bytes = at.immediates[0];
  uint32_t sourceBytes =
      at.operands.size() > 2 ? thread[at.operands[2]] : bytes;
  block.startCopy(thread, at, thread[at.operands[0]], thread[at.operands[1]],
                  bytes, sourceBytes);
  return Step::Next;
}

Step commit(ThreadBlock &block, Thread &thread, const Instruction &) {
  thread.copies.committed.push_back(
      std::exchange(thread.copies.open, SmallVector<uint32_t>()));
  block.asyncCopies().passTime();
  return Step::Next;
}

// Immediate: groups that may remain.
Step wait(ThreadBlock &block, Thread &thread, const Instruction &at) {
  block.waitForCopies(thread, at.immediates[0]);
  return Step::Next;
}

// All copies, committed or not.
Step waitAll(ThreadBlock &block, Thread &thread, const Instruction &at) {
  commit(block, thread, at);
  block.waitForCopies(thread, 0);
  return Step::Next;
}

LogicalResult decodeCopy(FunctionDecoder &decoder, Operation *op) {
  auto copy = cast<NVVM::CpAsyncOp>(op);
  decoder.emit(op, copyAsync).immediates = {copy.getSize()};
  return success();
}

LogicalResult decodeCommit(FunctionDecoder &decoder, Operation *op) {
  decoder.emit(op, commit);
  return success();
}

LogicalResult decodeWait(FunctionDecoder &decoder, Operation *op) {
  decoder.emit(op, wait).immediates = {
      cast<NVVM::CpAsyncWaitGroupOp>(op).getN()};
  return success();
}

LogicalResult decodeWaitAll(FunctionDecoder &decoder, Operation *op) {
  decoder.emit(op, waitAll);
  return success();
}

} // namespace

void addAsyncCopies(OpTable &table) {
  table["nvvm.cp.async.shared.global"] = decodeCopy;
  table["nvvm.cp.async.commit.group"] = decodeCommit;
  table["nvvm.cp.async.wait.group"] = decodeWait;
  table["llvm.call_intrinsic llvm.nvvm.cp.async.wait.all"] = decodeWaitAll;
  table["llvm.inline_asm cp.async.wait_all;"] = decodeWaitAll;
}

} // namespace coppice::emulator
