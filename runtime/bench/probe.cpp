// See probe.h.
#include "runtime/bench/probe.h"

#include "runtime/base/concat.h"
#include "runtime/bench/host.h"
#include "runtime/bench/probe_kernels.h"
#include "runtime/bench/statistics.h"
#include "runtime/bench/streaming_buffer.h"
#include "runtime/cpu/cpu_features.h"
#include "runtime/cpu/thread_count.h"
#include "runtime/cpu/thread_pool.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <numeric>
#include <thread>

namespace coppice::rt {

using Clock = std::chrono::steady_clock;

static double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// Runs work(thread) on `threads` pinned threads at once, `trials` times; the
/// time of each trial from the first start to the last end.
template <typename WorkFn>
static std::vector<double> timesOf(int trials, int threads, WorkFn work) {
  std::vector<int> cpus = allowedCpus();
  std::vector<Clock::time_point> begin(threads), end(threads);
  std::vector<double> times;
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
        times.push_back(seconds(*std::max_element(end.begin(), end.end()) -
                                *std::min_element(begin.begin(), begin.end())));
    }
  };
  // The caller's own affinity stays as it is.
  std::vector<std::thread> workers;
  for (int thread = 0; thread < threads; ++thread)
    workers.emplace_back(loop, thread);
  for (std::thread &worker : workers)
    worker.join();
  return times;
}

namespace {
/// A rate over some trials.
struct Found {
  double best = 0, typical = 0;
};
} // namespace

static Found rateOf(double work, const std::vector<double> &times) {
  return {work / *std::min_element(times.begin(), times.end()),
          work / quantile(times, 0.5)};
}

/// Results of kernels go here, so that no compiler drops the work.
static volatile float sink;

/// FLOP/s; 0 where there is no such instruction.
static Found probeFlops(const ProbeChains &chains, int threads, int trials) {
  if (!chains.run)
    return {};
  // About 2 ms at 3 GHz: short enough to fall between two interruptions, long
  // enough for the clock.
  constexpr int64_t iterations = 400'000;
  return rateOf(
      chains.flopsPerIteration * iterations * threads,
      timesOf(trials, threads, [&](int) { sink = chains.run(iterations); }));
}

static ProbeChains widestF32() {
  return {probeKernels().multiplyAdd, probeKernels().flopsPerIteration};
}

/// Bytes a second when `threads` read disjoint parts of `bytes`, `passes` times
/// over; as one stream or as four, whichever is better.
static Found probeRead(const StreamingBuffer &buffer, size_t bytes, int threads,
                       int passes, int trials) {
  constexpr size_t granule = 2048; // floats: 512 for each of four streams
  size_t share = bytes / sizeof(float) / threads / granule * granule;
  Found found;
  for (auto read :
       {probeKernels().readOneStream, probeKernels().readFourStreams}) {
    std::vector<double> times = timesOf(trials, threads, [&](int thread) {
      for (int pass = 0; pass < passes; ++pass)
        sink = read(buffer.data() + share * thread, share);
    });
    Found other =
        rateOf(4.0 * static_cast<double>(share) * threads * passes, times);
    found.best = std::max(found.best, other.best);
    found.typical = std::max(found.typical, other.typical);
  }
  return found;
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

static Ceilings probeCeilings(const StreamingBuffer &buffer,
                              const Machine &machine, int threads) {
  Ceilings c;
  c.threads = threads;
  auto set = [&](double Rates::*rate, Found found) {
    c.best.*rate = found.best;
    c.typical.*rate = found.typical;
  };
  set(&Rates::f32, probeFlops(widestF32(), threads, /*trials=*/20));
  set(&Rates::bf16, probeFlops(probeBf16(), threads, /*trials=*/20));
  set(&Rates::tiles, probeFlops(probeTiles(), threads, /*trials=*/20));
  set(&Rates::f32Avx2, probeFlops(probeAvx2(), threads, /*trials=*/20));
  set(&Rates::dram, probeRead(buffer, buffer.bytes(), threads,
                              /*passes=*/1, /*trials=*/40));
  for (int level = 0; level < cacheLevels; ++level) {
    const CacheLevel &cache = machine.caches[level];
    if (cache.bytes == 0)
      continue;
    // So much that it is in no smaller level, and room for the other users of
    // a shared one.
    double part = cache.shared ? 0.25 : 0.75;
    size_t bytes =
        std::max(size_t(threads) * 8192,
                 static_cast<size_t>(static_cast<double>(cache.bytes) * part) *
                     (cache.shared ? 1 : threads));
    int passes =
        static_cast<int>(std::max<size_t>(4, (size_t(16) << 20) / bytes));
    c.cacheRead[level] =
        probeRead(buffer, bytes, threads, passes, /*trials=*/12).best;
  }
  if (!std::any_of(std::begin(c.cacheRead), std::end(c.cacheRead),
                   [](double rate) { return rate > 0; }))
    c.cacheRead[cacheLevels - 1] =
        probeRead(buffer, static_cast<size_t>(machine.cacheBytes) / 4, threads,
                  /*passes=*/4, /*trials=*/12)
            .best;
  c.dispatchSeconds = probeDispatch(threads);
  return c;
}

Result<Machine> probeMachine(const ProbeOptions &options) {
  Machine machine;
  machine.host = hostName();
  machine.cpu = cpuName();
  machine.isa = bestIsa();
  machine.date = utcNow();
  machine.origin = "measured by coppice-run probe";
  machine.cacheBytes = lastLevelCacheBytes();
  cacheLevelsOf(machine.caches);
  machine.curves = assumedCurves();

  size_t cache = static_cast<size_t>(machine.cacheBytes);
  Result<StreamingBuffer> buffer = StreamingBuffer::create(4 * cache);
  if (!buffer)
    return buffer.status();
  for (int threads :
       options.threads.empty() ? probeThreadCounts() : options.threads) {
    if (options.progress)
      options.progress(threads);
    machine.ceilings.push_back(probeCeilings(*buffer, machine, threads));
  }
  return machine;
}

/// Reads the whole buffer once, in parts that are timed by themselves: best is
/// the best part, typical the whole. As one stream or as four, whichever is
/// better.
static Found lookAtReads(const StreamingBuffer &buffer, int threads) {
  constexpr int parts = 8;
  constexpr size_t granule = 2048;
  size_t share =
      buffer.bytes() / sizeof(float) / threads / parts / granule * granule;
  double bytes = 4.0 * static_cast<double>(share) * threads;
  Found found;
  for (auto read :
       {probeKernels().readOneStream, probeKernels().readFourStreams}) {
    std::vector<int> next(static_cast<size_t>(threads), 0);
    std::vector<double> times = timesOf(parts, threads, [&](int thread) {
      size_t part = static_cast<size_t>(thread) * parts +
                    static_cast<size_t>(next[static_cast<size_t>(thread)]++);
      sink = read(buffer.data() + share * part, share);
    });
    double all = std::accumulate(times.begin(), times.end(), 0.0);
    found.best = std::max(found.best, rateOf(bytes, times).best);
    found.typical = std::max(found.typical, bytes * parts / all);
  }
  return found;
}

Look lookAtRates(const StreamingBuffer &buffer, int threads,
                 std::string_view isa) {
  Look look;
  auto set = [&](double Rates::*rate, Found found) {
    look.best.*rate = found.best;
    look.typical.*rate = found.typical;
  };
  if (isa == "avx2")
    set(&Rates::f32Avx2, probeFlops(probeAvx2(), threads, /*trials=*/1));
  else if (isa == "amx_bf16")
    set(&Rates::tiles, probeFlops(probeTiles(), threads, /*trials=*/1));
  else if (isa != "avx512")
    set(&Rates::bf16, probeFlops(probeBf16(), threads, /*trials=*/1));
  set(&Rates::f32, probeFlops(widestF32(), threads, /*trials=*/1));
  set(&Rates::dram, lookAtReads(buffer, threads));
  return look;
}

Rates medianOf(const std::vector<Rates> &looks) {
  Rates median;
  for (double Rates::*rate : {&Rates::f32, &Rates::bf16, &Rates::f32Avx2,
                              &Rates::dram, &Rates::tiles}) {
    std::vector<double> seen;
    for (const Rates &look : looks)
      if (look.*rate > 0)
        seen.push_back(look.*rate);
    median.*rate = seen.empty() ? 0 : quantile(seen, 0.5);
  }
  return median;
}

} // namespace coppice::rt
