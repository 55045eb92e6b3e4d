// Runs a function over chunks of [0, count) on a fixed set of threads.
//
// Chunks are handed out by a counter, so that a slow thread takes fewer. The
// caller works too, and waits only for threads that have taken part: one that
// the system has not scheduled in time is not waited for, which keeps small
// jobs quick on a busy machine. Idle threads spin for some microseconds, since
// the next dispatch of a step follows at once, then sleep.
#ifndef COPPICE_RUNTIME_CPU_THREAD_POOL_H
#define COPPICE_RUNTIME_CPU_THREAD_POOL_H

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace coppice::rt {

class ThreadPool {
public:
  // `threads` includes the caller: at least 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return int(workers.size()) + 1; }

  using Body = void (*)(void *context, int64_t begin, int64_t end);

  // Calls body on disjoint ranges that cover [0, count); returns when all are
  // done. Not to be called from within a body, nor by two threads at once.
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
  void work();
  void takeChunks();

  // The current job; written by run() while no worker is inside.
  Body body = nullptr;
  void *context = nullptr;
  int64_t count = 0, chunk = 1;

  // Each on a cache line of its own: they are written by different threads.
  alignas(64) std::atomic<int64_t> next{0};
  // Bit `open` while the job may be joined; below it, workers inside.
  alignas(64) std::atomic<uint32_t> state{0};
  // Counts jobs; workers sleep on it.
  alignas(64) std::atomic<uint32_t> epoch{0};
  std::atomic<bool> stopping{false};
  int spins;

  std::vector<std::thread> workers;
};

} // namespace coppice::rt

#endif
