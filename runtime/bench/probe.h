// Nothing comes in but the machine itself; its ceilings go out.
//
// Each figure is the best of several short trials, since it stands for what the
// machine can do at most: noise only ever takes away. Takes about a second for
// each number of threads.
#ifndef COPPICE_RUNTIME_BENCH_PROBE_H
#define COPPICE_RUNTIME_BENCH_PROBE_H

#include "runtime/bench/streaming_buffer.h"
#include "runtime/costmodel/machine.h"

#include <functional>

namespace coppice::rt {

struct ProbeOptions {
  /// Numbers of threads to probe, ascending; empty: probeThreadCounts().
  std::vector<int> threads;
  /// Told before each number of threads.
  std::function<void(int)> progress;
};

/// 1 to 8, then powers of two and the number of usable CPUs itself.
std::vector<int> probeThreadCounts();

Result<Machine> probeMachine(const ProbeOptions &options);

/// One quick look at peak and DRAM bandwidth, some 20 ms; the other ceilings
/// are 0. For a run that wants the best that the machine did while it went on.
Ceilings sampleCeilings(const StreamingBuffer &buffer, int threads);

} // namespace coppice::rt

#endif
