// Runs a function over chunks of [0, count) on a fixed set of threads.
//
// Chunks are handed out one by one, large ones first: each is a fixed part of
// what is left, so that the last are single items and no thread idles while
// another has several to do. The caller works too, and waits only for threads
// that have taken part: one that the system has not scheduled in time is not
// waited for, which keeps small jobs quick on a busy machine. Idle threads spin
// for a fraction of a millisecond, since the next dispatch of a step follows at
// once, then sleep.
#ifndef COPPICE_RUNTIME_CPU_THREAD_POOL_H
#define COPPICE_RUNTIME_CPU_THREAD_POOL_H

#include "runtime/base/status.h"
#include "runtime/cpu/affinity.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace coppice::rt {

class ThreadPool {
public:
  // `threads` includes the caller: at least 1. A system that has no more
  // threads to give throws std::system_error.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  // The pool that all of this process share who ask for as many threads: two
  // sessions that take turns have no idle threads of the other's beside them.
  // With `pin` each thread, the caller's included, is bound to a CPU of its own
  // of the affinity mask, as long as the pool lives; an error where there are
  // fewer CPUs or the system refuses.
  static Result<std::shared_ptr<ThreadPool>> shared(int threads, bool pin);

  int threads() const { return int(workers.size()) + 1; }

  using Body = void (*)(void *context, int64_t begin, int64_t end);

  // Calls body on disjoint ranges that cover [0, count); returns when all are
  // done. Not to be called from within a body. Callers on several threads take
  // turns.
  void run(int64_t count, Body body, void *context);

  template <typename Function>
  void parallelFor(int64_t count, Function &&function) {
    run(
        count,
        [](void *context, int64_t begin, int64_t end) {
          (*static_cast<std::remove_reference_t<Function> *>(context))(begin,
                                                                       end);
        },
        &function);
  }

private:
  // Binds worker i to cpus[i + 1], the caller to cpus[0].
  Status pin();
  // Shares the CPUs other than the caller's out among the workers.
  void place();
  void stop();
  void work();
  void takeChunks();

  std::mutex turn; // held by the caller whose job it is

  // The current job; written by run() while no worker is inside.
  Body body = nullptr;
  void *context = nullptr;
  int64_t count = 0, parts = 1;

  // Each on a cache line of its own: they are written by different threads.
  alignas(64) std::atomic<int64_t> next{0};
  // Bit `open` while the job may be joined; below it, workers inside.
  alignas(64) std::atomic<uint32_t> state{0};
  // Counts jobs; workers sleep on it.
  alignas(64) std::atomic<uint32_t> epoch{0};
  std::atomic<bool> stopping{false};
  bool spinning;

  std::vector<int> cpus; // the affinity mask
  int placedBeside = -1; // the CPU that the workers keep off

  // Of a pinned pool: who has been bound beside the workers.
  std::optional<ScopedPinning> pinning;
  std::thread::id caller;

  std::vector<std::thread> workers;
};

} // namespace coppice::rt

#endif
