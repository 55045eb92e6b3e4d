#include "runtime/cpu/thread_pool.h"

#include "runtime/cpu/thread_count.h"

#include <algorithm>

namespace coppice::rt {

namespace {

constexpr uint32_t open = 1u << 31;

void pauseCpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

} // namespace

ThreadPool::ThreadPool(int threads) {
  // About 20 us of pauses. With more threads than CPUs, a spinning thread takes
  // the CPU from one that has work: then sleep at once.
  spins = threads <= usableThreads() ? 1000 : 0;
  for (int i = 1; i < threads; ++i)
    workers.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  stopping.store(true, std::memory_order_relaxed);
  epoch.fetch_add(1, std::memory_order_release);
  epoch.notify_all();
  for (std::thread &worker : workers)
    worker.join();
}

void ThreadPool::takeChunks() {
  while (true) {
    int64_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
    if (begin >= count)
      return;
    body(context, begin, std::min(begin + chunk, count));
  }
}

void ThreadPool::run(int64_t total, Body function, void *argument) {
  if (total <= 0)
    return;
  if (workers.empty() || total == 1) {
    function(argument, 0, total);
    return;
  }
  // Four chunks a thread even out unequal work items; more would only cost
  // traffic on the counter.
  body = function;
  context = argument;
  count = total;
  chunk = std::max<int64_t>(1, total / (int64_t(threads()) * 4));
  next.store(0, std::memory_order_relaxed);
  state.store(open, std::memory_order_release);
  epoch.fetch_add(1, std::memory_order_release);
  epoch.notify_all();

  takeChunks();

  // Close, then wait for those inside. A worker that comes later finds the job
  // closed and never touches it.
  uint32_t inside = state.fetch_and(~open, std::memory_order_acq_rel) & ~open;
  for (int spin = 0; inside != 0; ++spin) {
    if (spin < spins)
      pauseCpu();
    else
      std::this_thread::yield();
    inside = state.load(std::memory_order_acquire);
  }
}

void ThreadPool::work() {
  uint32_t seen = 0;
  while (true) {
    uint32_t now = epoch.load(std::memory_order_acquire);
    for (int spin = 0; now == seen && spin < spins; ++spin) {
      pauseCpu();
      now = epoch.load(std::memory_order_acquire);
    }
    if (now == seen) {
      epoch.wait(seen, std::memory_order_acquire);
      continue;
    }
    seen = now;
    if (stopping.load(std::memory_order_relaxed))
      return;
    uint32_t entered = state.load(std::memory_order_relaxed);
    while (entered & open) {
      if (state.compare_exchange_weak(entered, entered + 1,
                                      std::memory_order_acq_rel,
                                      std::memory_order_relaxed)) {
        takeChunks();
        state.fetch_sub(1, std::memory_order_release);
        break;
      }
    }
  }
}

} // namespace coppice::rt
