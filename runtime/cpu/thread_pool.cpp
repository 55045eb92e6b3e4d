#include "runtime/cpu/thread_pool.h"

#include "runtime/base/concat.h"
#include "runtime/cpu/thread_count.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <sched.h>

namespace coppice::rt {

namespace {

constexpr uint32_t open = 1u << 31;

// How long an idle thread looks for the next job before it sleeps: longer than
// what one thread does alone between two dispatches of a step, short enough not
// to be seen in a CPU quota.
constexpr std::chrono::microseconds patience(200);

void pauseCpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Spins until ready() or patience ends.
template <typename ReadyFn> bool spinUntil(ReadyFn ready) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point end{};
  while (true) {
    // A pause is 40 to 140 cycles; the clock costs as much as one.
    for (int i = 0; i < 32; ++i) {
      if (ready())
        return true;
      pauseCpu();
    }
    auto now = Clock::now();
    if (end == Clock::time_point())
      end = now + patience;
    else if (now > end)
      return false;
  }
}

} // namespace

// With more threads than CPUs, a spinning thread takes the CPU from one that
// has work: then sleep at once. A chunk is at most half of an even share.
ThreadPool::ThreadPool(int threads)
    : parts(2 * int64_t(threads)), spinning(threads <= usableThreads()),
      cpus(allowedCpus()) {
  try {
    for (int i = 1; i < threads; ++i) {
      workers.emplace_back([this] { work(); });
      // The thread that starts it may be bound to one CPU.
      bindThread(workers.back().native_handle(), cpus);
    }
  } catch (...) {
    stop();
    throw;
  }
}

Status ThreadPool::pin() {
  if (size_t(threads()) > cpus.size())
    return invalidArgument(concat("expected at most ", cpus.size(),
                                  " threads, one for each CPU of the affinity "
                                  "mask, to pin them; found ",
                                  threads()));
  pinning.emplace();
  caller = std::this_thread::get_id();
  bool bound = bindThread(pthread_self(), {cpus[0]});
  for (size_t i = 0; i < workers.size(); ++i)
    bound &= bindThread(workers[i].native_handle(), {cpus[i + 1]});
  if (bound)
    return {};
  return unsupported("the system refuses to bind threads to CPUs; run without "
                     "pinning");
}

void ThreadPool::place() {
  if (pinning || size_t(threads()) > cpus.size())
    return;
  int cpu = sched_getcpu();
  if (cpu == placedBeside)
    return;
  placedBeside = cpu;
  std::vector<int> others = cpus;
  std::erase(others, cpu);
  for (size_t i = 0; i < workers.size(); ++i) {
    std::vector<int> share;
    for (size_t at = i; at < others.size(); at += workers.size())
      share.push_back(others[at]);
    bindThread(workers[i].native_handle(), share);
  }
}

void ThreadPool::stop() {
  stopping.store(true, std::memory_order_relaxed);
  epoch.fetch_add(1, std::memory_order_release);
  epoch.notify_all();
  for (std::thread &worker : workers)
    worker.join();
  workers.clear();
}

ThreadPool::~ThreadPool() {
  stop();
  if (pinning && caller == std::this_thread::get_id())
    bindThread(pthread_self(), cpus);
}

Result<std::shared_ptr<ThreadPool>> ThreadPool::shared(int threads, bool pin) {
  static std::mutex guard;
  static std::map<std::pair<int, bool>, std::weak_ptr<ThreadPool>> pools;
  std::lock_guard lock(guard);
  auto &known = pools[{threads, pin}];
  if (auto pool = known.lock())
    return pool;
  auto pool = std::make_shared<ThreadPool>(threads);
  if (pin)
    if (Status status = pool->pin(); !status.ok())
      return status;
  known = pool;
  return pool;
}

void ThreadPool::takeChunks() {
  int64_t begin = next.load(std::memory_order_relaxed);
  while (begin < count) {
    int64_t end = begin + std::max<int64_t>(1, (count - begin) / parts);
    if (!next.compare_exchange_weak(begin, end, std::memory_order_relaxed))
      continue;
    body(context, begin, end);
    begin = next.load(std::memory_order_relaxed);
  }
}

void ThreadPool::run(int64_t total, Body function, void *argument) {
  if (total <= 0)
    return;
  if (workers.empty() || total == 1) {
    function(argument, 0, total);
    return;
  }
  std::lock_guard lock(turn);
  place();
  body = function;
  context = argument;
  count = total;
  next.store(0, std::memory_order_relaxed);
  state.store(open, std::memory_order_release);
  epoch.fetch_add(1, std::memory_order_release);
  epoch.notify_all();

  takeChunks();

  // Close, then wait for those inside. A worker that comes later finds the job
  // closed and never touches it.
  if ((state.fetch_and(~open, std::memory_order_acq_rel) & ~open) == 0)
    return;
  auto done = [&] { return state.load(std::memory_order_acquire) == 0; };
  if (spinning && spinUntil(done))
    return;
  while (!done())
    std::this_thread::yield();
}

void ThreadPool::work() {
  uint32_t seen = 0;
  auto called = [&] { return epoch.load(std::memory_order_acquire) != seen; };
  while (true) {
    if (!called() && !(spinning && spinUntil(called))) {
      epoch.wait(seen, std::memory_order_acquire);
      continue;
    }
    seen = epoch.load(std::memory_order_acquire);
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
