//===- ThreadBlock.cpp - threads take turns -------------------------------===//

#include "ThreadBlock.h"
#include "Numbers.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace coppice::emulator {

namespace {

// Instructions of a thread before another one has its turn.
constexpr unsigned kTurn = 4096;

} // namespace

ThreadBlock::ThreadBlock(Launch &launch, Dim3 id, uint32_t index)
    : launch(launch), blockId(id), blockIndex(index),
      shared(launch.function.dynamicShared + launch.dynamicShared),
      sharedShadow(shared.size(), /*initialized=*/false),
      copies(launch.options.copies, launch.random, shared.data()) {
  for (size_t offset = 0; offset < shared.size(); ++offset)
    shared[offset] = fillByte(offset);
  const Dim3 &size = launch.block;
  uint32_t count = size[0] * size[1] * size[2];
  threads.resize(count);
  for (uint32_t i = 0; i < count; ++i) {
    Thread &thread = threads[i];
    thread.index = i;
    thread.lane = i % kWarpSize;
    thread.id = {i % size[0], i / size[0] % size[1], i / size[0] / size[1]};
    thread.registers = launch.image;
    thread.clock.assign(count, 0);
    thread.clock[i] = 1;
  }
  for (uint32_t first = 0; first < count; first += kWarpSize)
    warps.push_back(
        {first / kWarpSize, first, std::min(kWarpSize, count - first)});
}

bool ThreadBlock::repeats(Fault::Kind kind, const Instruction &at,
                          const Instruction *other) {
  Operation *otherOp = other ? other->op : nullptr;
  for (Fault &known : launch.report.faults)
    if (known.kind == kind && known.op == at.op && known.other == otherOp) {
      ++known.count;
      return true;
    }
  // Where threads end up is worth more than a further wrong access.
  bool isEnd = kind == Fault::Kind::Barrier || kind == Fault::Kind::Deadlock ||
               kind == Fault::Kind::Budget;
  launch.full |= launch.report.faults.size() >= launch.options.maxFaults;
  return launch.full && !isEnd;
}

void ThreadBlock::fault(Fault::Kind kind, const Thread &thread,
                        const Instruction &at, std::string message,
                        const Instruction *other,
                        std::optional<uint32_t> otherThread) {
  if (repeats(kind, at, other))
    return;
  launch.report.faults.push_back(
      {kind, std::move(message), at.op, blockId, thread.id,
       other ? other->op : nullptr,
       otherThread ? threads[*otherThread].id : Dim3{}});
}

//===--- Turns ------------------------------------------------------------===//

void ThreadBlock::run() {
  std::vector<uint32_t> order(warps.size());
  std::iota(order.begin(), order.end(), 0);
  bool progress = true;
  while (progress && !launch.givenUp) {
    if (launch.options.copies == CopyTime::Random)
      std::shuffle(order.begin(), order.end(), launch.random);
    progress = false;
    for (uint32_t index : order)
      progress |= runWarp(warps[index]);
  }
  if (launch.givenUp)
    return;
  if (llvm::any_of(threads, [](const Thread &thread) {
        return thread.state != Thread::State::Exited;
      }))
    reportStuck();
}

/// Whether any of its threads could do anything.
bool ThreadBlock::runWarp(Warp &warp) {
  bool progress = false;
  // Bounded, so that a warp that spins does not keep the others waiting.
  for (unsigned turn = 0; turn < 64; ++turn) {
    bool ran = false;
    for (uint32_t lane = 0; lane < warp.lanes; ++lane) {
      Thread &thread = this->lane(warp, lane);
      if (thread.state != Thread::State::Ready)
        continue;
      runThread(thread);
      ran = true;
      if (launch.givenUp)
        return true;
    }
    ran |= meetInWarp(warp);
    if (!ran)
      break;
    progress = true;
  }
  return progress;
}

void ThreadBlock::runThread(Thread &thread) {
  const std::vector<Instruction> &code = launch.function.code;
  for (unsigned step = 0; step < kTurn; ++step) {
    const Instruction &at = code[thread.pc];
    if (++launch.report.steps > launch.options.maxSteps) {
      fault(Fault::Kind::Budget, thread, at,
            llvm::formatv("expected the launch to end within {0} steps, found "
                          "threads still at work: {1}",
                          launch.options.maxSteps, whereThreadsStand()));
      launch.givenUp = true;
      return;
    }
    switch (at.run(*this, thread, at)) {
    case Step::Next:
      ++thread.pc;
      break;
    case Step::Jump:
      break;
    case Step::Stop:
      return;
    }
    if (launch.givenUp)
      return;
  }
}

//===--- Warps ------------------------------------------------------------===//

Step arriveAtWarp(ThreadBlock &block, Thread &thread, const Instruction &at) {
  // Immediate 0, if any: the place of the mask.
  thread.mask = kAllLanes;
  if (!at.immediates.empty() && at.immediates[0] >= 0)
    thread.mask = static_cast<uint32_t>(thread[at.immediates[0]]);
  if (!(thread.mask >> thread.lane & 1)) {
    block.fault(Fault::Kind::Invalid, thread, at,
                llvm::formatv("expected a mask with the lane itself, found "
                              "{0:x8} in lane {1}",
                              thread.mask, thread.lane));
    thread.mask |= 1u << thread.lane;
  }
  thread.state = Thread::State::AtWarp;
  return Step::Stop;
}

/// Executes an op that all its lanes have arrived at.
bool ThreadBlock::meetInWarp(Warp &warp) {
  bool met = false;
  for (uint32_t first = 0; first < warp.lanes; ++first) {
    Thread &leader = lane(warp, first);
    if (leader.state != Thread::State::AtWarp)
      continue;
    uint32_t arrived = 0;
    for (uint32_t other = 0; other < warp.lanes; ++other) {
      Thread &thread = lane(warp, other);
      if (thread.state == Thread::State::AtWarp && thread.pc == leader.pc &&
          thread.mask == leader.mask)
        arrived |= 1u << other;
    }
    if (arrived != leader.mask)
      continue;
    const Instruction &at = launch.function.code[leader.pc];
    forEachLane(arrived, [&](uint32_t index) {
      lane(warp, index).state = Thread::State::Ready;
      ++lane(warp, index).pc;
    });
    at.warp(*this, warp, arrived, at);
    met = true;
  }
  return met;
}

//===--- Barriers ---------------------------------------------------------===//

void ThreadBlock::synchronize(ArrayRef<uint32_t> indices) {
  if (indices.empty())
    return;
  std::vector<uint32_t> joined = threads[indices.front()].clock;
  for (uint32_t index : indices.drop_front())
    for (auto [mine, theirs] : llvm::zip(joined, threads[index].clock))
      mine = std::max(mine, theirs);
  for (uint32_t index : indices) {
    threads[index].clock = joined;
    ++threads[index].clock[index];
  }
}

Step ThreadBlock::arriveAtBarrier(Thread &thread, const Instruction &at,
                                  uint32_t id, uint32_t expected, bool waits) {
  if (id >= kBarriers) {
    fault(Fault::Kind::Invalid, thread, at,
          llvm::formatv("expected a barrier below {0}, found {1}", kBarriers,
                        id));
    launch.givenUp = true;
    return Step::Stop;
  }
  bool whole = expected == 0;
  if (whole)
    expected = threads.size();
  else if (expected % kWarpSize != 0) {
    fault(Fault::Kind::Invalid, thread, at,
          llvm::formatv("expected a multiple of {0} threads, found {1}",
                        kWarpSize, expected));
    launch.givenUp = true;
    return Step::Stop;
  }

  Barrier &barrier = barriers[id];
  if (barrier.arrived == 0) {
    barrier.expected = expected;
    barrier.at = &at;
    barrier.firstThread = thread.index;
  } else if (barrier.expected != expected) {
    fault(Fault::Kind::Barrier, thread, at,
          llvm::formatv("expected all threads to wait for as many at barrier "
                        "{0}, found {1} here and {2} of thread {3} at {4}",
                        id, expected, barrier.expected, barrier.firstThread,
                        describe(barrier.at->op)),
          barrier.at, barrier.firstThread);
  } else if (whole && barrier.at != &at) {
    fault(Fault::Kind::Barrier, thread, at,
          llvm::formatv("expected all threads at the same barrier, found this "
                        "one here and thread {0} at {1}",
                        barrier.firstThread, describe(barrier.at->op)),
          barrier.at, barrier.firstThread);
  }

  ++barrier.arrived;
  copies.passTime();
  if (waits) {
    barrier.waiting.push_back(thread.index);
    thread.state = Thread::State::AtBarrier;
    thread.barrier = id;
  } else {
    barrier.clock.resize(threads.size());
    for (auto [joined, mine] : llvm::zip(barrier.clock, thread.clock))
      joined = std::max(joined, mine);
    ++thread.clock[thread.index];
  }
  if (barrier.arrived >= barrier.expected)
    release(barrier);
  return waits ? Step::Stop : Step::Next;
}

void ThreadBlock::release(Barrier &barrier) {
  if (!barrier.clock.empty())
    for (uint32_t index : barrier.waiting)
      for (auto [mine, joined] : llvm::zip(threads[index].clock, barrier.clock))
        mine = std::max(mine, joined);
  synchronize(barrier.waiting);
  for (uint32_t index : barrier.waiting) {
    threads[index].state = Thread::State::Ready;
    ++threads[index].pc;
  }
  barrier = Barrier();
}

//===--- Threads that cannot go on ----------------------------------------===//

/// "threads 0-31 wait at 'nvvm.barrier' at loc(..); threads 32-63 have ended at
/// .."
std::string ThreadBlock::whereThreadsStand() const {
  llvm::MapVector<std::pair<uint32_t, Thread::State>, SmallVector<uint32_t>>
      places;
  for (const Thread &thread : threads)
    places[{thread.pc, thread.state}].push_back(thread.index);
  std::string text;
  llvm::raw_string_ostream out(text);
  llvm::interleave(
      places, out,
      [&](const auto &entry) {
        ArrayRef<uint32_t> indices = entry.second;
        out << (indices.size() == 1 ? "thread " : "threads ");
        unsigned runs = 0;
        for (size_t i = 0, end; i < indices.size(); i = end) {
          for (end = i + 1;
               end < indices.size() && indices[end] == indices[end - 1] + 1;)
            ++end;
          if (runs++ == 4) {
            out << " and others";
            break;
          }
          out << (i ? ", " : "") << indices[i];
          if (end > i + 1)
            out << '-' << indices[end - 1];
        }
        Thread::State state = entry.first.second;
        out << (state == Thread::State::Exited  ? " ended at "
                : state == Thread::State::Ready ? " ran at "
                                                : " wait at ")
            << describe(launch.function.code[entry.first.first].op);
      },
      "; ");
  return text;
}

void ThreadBlock::reportStuck() {
  const Thread *waiting = nullptr;
  for (const Thread &thread : threads) {
    if (thread.state == Thread::State::AtBarrier) {
      waiting = &thread;
      break;
    }
    if (!waiting && thread.state == Thread::State::AtWarp)
      waiting = &thread;
  }
  const Instruction &at = launch.function.code[waiting->pc];
  bool barrier = waiting->state == Thread::State::AtBarrier;
  // The first thread that stands elsewhere is the other party.
  const Thread *other = nullptr;
  for (const Thread &thread : threads)
    if (thread.pc != waiting->pc) {
      other = &thread;
      break;
    }
  std::string expected =
      barrier ? llvm::formatv("expected {0} threads at the barrier, found {1}",
                              barriers[waiting->barrier].expected,
                              barriers[waiting->barrier].arrived)
                    .str()
              : llvm::formatv("expected all lanes of the mask {0:x8} at this "
                              "op, found others missing",
                              waiting->mask)
                    .str();
  fault(barrier ? Fault::Kind::Barrier : Fault::Kind::Deadlock, *waiting, at,
        expected + ": " + whereThreadsStand(),
        other ? &launch.function.code[other->pc] : nullptr,
        other ? std::optional(other->index) : std::nullopt);
  launch.givenUp = true;
}

} // namespace coppice::emulator
