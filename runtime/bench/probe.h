// Nothing comes in but the machine itself; its ceilings go out.
//
// Each rate is found in many short trials: the best of them is what the machine
// can do at most, since noise only ever takes away; their median is what it
// typically does. Takes about a second for each number of threads.
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

/// One quick look at what the machine does just now, some 15 ms. Rates that
/// were not looked at are 0.
struct Look {
  Rates best;    ///< over the shortest stretches that a clock can tell
  Rates typical; ///< over the whole look
};

/// Looks at the peaks of the arithmetic that code for `isa` uses, and at DRAM
/// bandwidth.
Look lookAtRates(const StreamingBuffer &buffer, int threads,
                 std::string_view isa);

/// The median of each rate over some looks.
Rates medianOf(const std::vector<Rates> &looks);

} // namespace coppice::rt

#endif
