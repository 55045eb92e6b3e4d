// See probe.h.
#include "runtime/bench/probe.h"

#include "runtime/base/concat.h"
#include "runtime/bench/host.h"
#include "runtime/bench/probe_kernels.h"
#include "runtime/bench/streaming_buffer.h"
#include "runtime/cpu/cpu_features.h"
#include "runtime/cpu/thread_count.h"
#include "runtime/cpu/thread_pool.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <thread>

namespace coppice::rt {

using Clock = std::chrono::steady_clock;

static double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// Runs work(thread) on `threads` pinned threads at once, `trials` times; the
/// least time from the first start to the last end.
template <typename WorkFn>
static double bestOf(int trials, int threads, WorkFn work) {
  std::vector<int> cpus = allowedCpus();
  std::vector<Clock::time_point> begin(threads), end(threads);
  double best = 1e30;
  std::barrier meet(threads);
  auto loop = [&](int thread) {
    pinThread(cpus[static_cast<size_t>(thread) % cpus.size()]);
    for (int trial = 0; trial < trials; ++trial) {
      meet.arrive_and_wait();
      begin[thread] = Clock::now();
      work(thread);
      end[thread] = Clock::now();
      meet.arrive_and_wait();
      if (thread == 0)
        best = std::min(best,
                        seconds(*std::max_element(end.begin(), end.end()) -
                                *std::min_element(begin.begin(), begin.end())));
    }
  };
  // The caller's own affinity stays as it is.
  std::vector<std::thread> workers;
  for (int thread = 0; thread < threads; ++thread)
    workers.emplace_back(loop, thread);
  for (std::thread &worker : workers)
    worker.join();
  return best;
}

/// Results of kernels go here, so that no compiler drops the work.
static volatile float sink;

static double probeFlops(int threads, int trials) {
  const ProbeKernels &kernels = probeKernels();
  // About 2 ms at 3 GHz: short enough to fall between two interruptions, long
  // enough for the clock.
  constexpr int64_t iterations = 400'000;
  double time = bestOf(trials, threads,
                       [&](int) { sink = kernels.multiplyAdd(iterations); });
  return kernels.flopsPerIteration * iterations * threads / time;
}

/// Bytes a second when `threads` read disjoint parts of `bytes`, `passes` times
/// over.
static double probeRead(const StreamingBuffer &buffer, size_t bytes,
                        int threads, int passes, int trials) {
  constexpr size_t granule = 2048; // floats: 512 for each of four streams
  size_t share = bytes / sizeof(float) / threads / granule * granule;
  double best = 0;
  for (auto read :
       {probeKernels().readOneStream, probeKernels().readFourStreams}) {
    double time = bestOf(trials, threads, [&](int thread) {
      for (int pass = 0; pass < passes; ++pass)
        sink = read(buffer.data() + share * thread, share);
    });
    double moved = 4.0 * static_cast<double>(share) * threads * passes;
    best = std::max(best, moved / time);
  }
  return best;
}

/// What handing work to the pool takes: the time of a dispatch with one short
/// work item for each thread, less the time of such an item. An empty item
/// would not do: the first thread would have done all before the second wakes
/// up. The median of the trials, since this is a cost, not a ceiling.
static double probeDispatch(int threads) {
  ThreadPool pool(threads);
  constexpr int runs = 500;
  constexpr int trials = 9;
  auto item = [] { sink = probeKernels().multiplyAdd(400); }; // about 1 us
  auto mean = [&](auto &&once) {
    auto begin = Clock::now();
    for (int run = 0; run < runs; ++run)
      once();
    return seconds(Clock::now() - begin) / runs;
  };
  std::vector<double> overheads;
  for (int trial = 0; trial < trials; ++trial) {
    double alone = mean(item);
    double pooled = mean([&] {
      pool.parallelFor(threads, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          item();
      });
    });
    overheads.push_back(std::max(0.0, pooled - alone));
  }
  std::nth_element(overheads.begin(), overheads.begin() + trials / 2,
                   overheads.end());
  return overheads[trials / 2];
}

std::vector<int> probeThreadCounts() {
  int most = usableThreads();
  std::vector<int> counts;
  for (int count = 1; count < most; count = count < 8 ? count + 1 : count * 2)
    counts.push_back(count);
  counts.push_back(most);
  return counts;
}

Result<Machine> probeMachine(const ProbeOptions &options) {
  Machine machine;
  machine.host = hostName();
  machine.cpu = cpuName();
  machine.isa = cpuIsa();
  machine.date = utcNow();
  machine.origin = "measured by coppice-run probe";
  machine.cacheBytes = lastLevelCacheBytes();
  machine.efficiency = defaultEfficiencies();

  size_t cache = static_cast<size_t>(machine.cacheBytes);
  Result<StreamingBuffer> buffer = StreamingBuffer::create(4 * cache);
  if (!buffer)
    return buffer.status();
  for (int threads :
       options.threads.empty() ? probeThreadCounts() : options.threads) {
    if (options.progress)
      options.progress(threads);
    Ceilings c;
    c.threads = threads;
    c.flopsPerSecond = probeFlops(threads, /*trials=*/20);
    c.dramReadBytesPerSecond = probeRead(*buffer, buffer->bytes(), threads,
                                         /*passes=*/1, /*trials=*/40);
    // A quarter of the cache: no first-level cache, and room for its other
    // users.
    c.cacheReadBytesPerSecond =
        probeRead(*buffer, cache / 4, threads, /*passes=*/4, /*trials=*/12);
    c.dispatchSeconds = probeDispatch(threads);
    machine.ceilings.push_back(c);
  }
  return machine;
}

Ceilings sampleCeilings(const StreamingBuffer &buffer, int threads) {
  Ceilings sample;
  sample.threads = threads;
  sample.flopsPerSecond = probeFlops(threads, /*trials=*/2);
  sample.dramReadBytesPerSecond =
      probeRead(buffer, buffer.bytes(), threads, /*passes=*/1, /*trials=*/1);
  return sample;
}

} // namespace coppice::rt
