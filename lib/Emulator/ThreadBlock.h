//===- ThreadBlock.h - the state of a block that runs -----------*- C++ -*-===//
//
// Threads run one after another, each until it has to wait: for the lanes of
// its warp, or for a barrier. An op of a warp is executed once for all its
// lanes, when the last of them has arrived.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_EMULATOR_THREADBLOCK_H
#define COPPICE_LIB_EMULATOR_THREADBLOCK_H

#include "AsyncCopies.h"
#include "Program.h"
#include "coppice/Emulator/Emulator.h"
#include <random>

namespace coppice::emulator {

constexpr unsigned kWarpSize = 32;
constexpr uint32_t kAllLanes = 0xffffffff;
constexpr unsigned kBarriers = 16;
constexpr uint64_t kLocalBytes = 64 << 10; // of a thread

struct Thread {
  enum class State { Ready, AtWarp, AtBarrier, Exited };

  uint32_t index; // in the block
  uint32_t lane;
  Dim3 id;
  State state = State::Ready;
  uint32_t pc = 0;
  uint32_t barrier = 0; // where it waits, if AtBarrier
  uint32_t mask = 0;    // lanes that it expects, if AtWarp
  std::vector<uint64_t> registers;
  std::vector<uint32_t> clock; // the count of each thread that it knows
  std::vector<uint8_t> local;  // what `alloca` gives
  std::vector<bool> localInitialized;
  CopyGroups copies;

  uint64_t &operator[](uint32_t place) { return registers[place]; }
};

struct Warp {
  uint32_t index;
  uint32_t first; // thread
  uint32_t lanes; // 32, or fewer in the last warp
};

/// A barrier and who has arrived at it.
struct Barrier {
  llvm::SmallVector<uint32_t> waiting;
  std::vector<uint32_t> clock; // joined, of those that do not wait
  uint32_t arrived = 0;
  uint32_t expected = 0;
  const Instruction *at = nullptr;
  uint32_t firstThread = 0;
};

/// What the blocks of a launch have in common.
struct Launch {
  const Function &function;
  GlobalMemory &memory;
  const EmulatorOptions &options;
  Dim3 grid;
  Dim3 block;
  uint64_t dynamicShared;
  std::vector<uint64_t> image; // registers at the start, arguments included
  LaunchReport report;
  std::mt19937_64 random;
  bool givenUp = false; // nothing more can run
  bool full = false;    // of faults: the block that runs is the last
};

class ThreadBlock {
public:
  ThreadBlock(Launch &launch, Dim3 id, uint32_t index);

  void run();

  //===--- For ops --------------------------------------------------------===//

  Thread &thread(uint32_t index) { return threads[index]; }
  Thread &lane(const Warp &warp, uint32_t lane) {
    return threads[warp.first + lane];
  }
  uint32_t size() const { return threads.size(); }
  const Dim3 &id() const { return blockId; }
  Launch &launched() { return launch; }

  /// Reports; the same fault at the same ops is counted.
  void fault(Fault::Kind kind, const Thread &thread, const Instruction &at,
             std::string message, const Instruction *other = nullptr,
             std::optional<uint32_t> otherThread = std::nullopt);

  /// Counts a fault that is known already; false if it is new and to be
  /// reported. Saves making the message of what a thousand threads do wrong.
  bool repeats(Fault::Kind kind, const Instruction &at,
               const Instruction *other = nullptr);

  /// Bytes of memory that were found where an access wants them.
  struct Place {
    unsigned space = kGlobal; // kGlobal (constants, too), kShared or kLocal
    uint8_t *data = nullptr;
    Shadow *shadow = nullptr; // null for local memory and for constants
    uint64_t offset = 0;      // in the buffer, or the space
    uint64_t address = 0;     // of global memory
  };
  /// Checks alignment and bounds; none after a fault.
  std::optional<Place> find(const Thread &thread, const Instruction &at,
                            unsigned space, uint64_t address, uint64_t bytes,
                            uint64_t alignment, bool write);

  /// What an access does to the shadow; faults for races, for bytes that are
  /// not there yet, and for those that a copy holds.
  void noteRead(Thread &thread, const Instruction &at, const Place &place,
                uint64_t bytes, bool atomic = false);
  void noteWrite(Thread &thread, const Instruction &at, const Place &place,
                 uint64_t bytes, bool atomic = false);

  /// Checked and noted. After a fault of place, `to` is filled with NaNs and
  /// nothing is stored.
  void load(Thread &thread, const Instruction &at, unsigned space,
            uint64_t address, uint64_t bytes, uint64_t alignment, uint8_t *to);
  void store(Thread &thread, const Instruction &at, unsigned space,
             uint64_t address, uint64_t bytes, uint64_t alignment,
             const uint8_t *from);

  /// All that these threads have done happened before what they do next.
  void synchronize(llvm::ArrayRef<uint32_t> indices);

  AsyncCopies &asyncCopies() { return copies; }
  void startCopy(Thread &thread, const Instruction &at, uint64_t destination,
                 uint64_t source, uint32_t bytes, uint32_t sourceBytes);
  void waitForCopies(Thread &thread, size_t groupsLeft);

  /// The thread waits at barrier `id` for `expected` threads; 0 for all of the
  /// block.
  Step arriveAtBarrier(Thread &thread, const Instruction &at, uint32_t id,
                       uint32_t expected, bool waits);

private:
  bool happenedBefore(const Access &access, const Thread &thread) const;
  Access accessBy(const Thread &thread, const Instruction &at,
                  bool atomic) const;
  void reportRace(const Thread &thread, const Instruction &at,
                  const Place &place, uint64_t byte, const Access &other,
                  const char *earlier, const char *now);
  std::string nameOf(const Place &place, uint64_t byte) const;

  bool runWarp(Warp &warp);
  void runThread(Thread &thread);
  bool meetInWarp(Warp &warp);
  void release(Barrier &barrier);
  void reportStuck();
  std::string whereThreadsStand() const;

  Launch &launch;
  Dim3 blockId;
  uint32_t blockIndex;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<uint8_t> shared;
  Shadow sharedShadow;
  std::array<Barrier, kBarriers> barriers;
  AsyncCopies copies;
};

/// `run` of ops that lanes execute together.
Step arriveAtWarp(ThreadBlock &block, Thread &thread, const Instruction &at);

/// Calls `function` with each lane of a mask, lowest first.
template <typename Function>
void forEachLane(uint32_t lanes, Function function) {
  for (; lanes; lanes &= lanes - 1)
    function(static_cast<uint32_t>(llvm::countr_zero(lanes)));
}

} // namespace coppice::emulator

#endif // COPPICE_LIB_EMULATOR_THREADBLOCK_H
