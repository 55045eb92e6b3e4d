//===- AsyncCopies.h - cp.async in flight -----------------------*- C++ -*-===//
//
// A copy owns its destination from when it is issued until its thread waits for
// it: it may write at any time between, so nobody else may read or write there,
// and nobody may change what it reads. The wait makes it a write of that
// thread, which others see after a barrier, like any write.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_EMULATOR_ASYNCCOPIES_H
#define COPPICE_LIB_EMULATOR_ASYNCCOPIES_H

#include "coppice/Emulator/Emulator.h"
#include "llvm/ADT/SmallVector.h"
#include <deque>
#include <random>

namespace coppice::emulator {

struct Instruction;

struct AsyncCopy {
  const Instruction *at;
  uint32_t thread;
  uint64_t destination; // offset in shared memory
  uint64_t address;     // of the source; 0 where nothing is read
  const uint8_t *source;
  uint32_t bytes;       // written
  uint32_t sourceBytes; // read; the rest is zeros
  bool moved = false;   // the bytes are there
  bool waited = false;
};

/// The copies of a thread, in the order of its commits.
struct CopyGroups {
  llvm::SmallVector<uint32_t> open;
  std::deque<llvm::SmallVector<uint32_t>> committed;
};

class AsyncCopies {
public:
  AsyncCopies(CopyTime time, std::mt19937_64 &random, uint8_t *shared)
      : time(time), random(random), shared(shared) {}

  /// The id of the copy, never 0. The caller has checked both ends.
  uint32_t issue(const AsyncCopy &copy);
  const AsyncCopy &get(uint32_t id) const { return copies[id - 1]; }
  /// The bytes are there, now at the latest.
  const AsyncCopy &finish(uint32_t id);
  /// A chance for copies to move when they like.
  void passTime();

  /// An unfinished copy that reads one of these bytes of global memory, or 0.
  uint32_t reading(uint64_t address, uint64_t bytes) const;

private:
  void move(AsyncCopy &copy);

  CopyTime time;
  std::mt19937_64 &random;
  uint8_t *shared;
  std::deque<AsyncCopy> copies;
  llvm::SmallVector<uint32_t> unmoved; // of CopyTime::Random
  size_t firstUnfinished = 0;          // all before it are waited for
};

} // namespace coppice::emulator

#endif // COPPICE_LIB_EMULATOR_ASYNCCOPIES_H
