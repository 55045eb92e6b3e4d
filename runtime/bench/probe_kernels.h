// The inner loops of the probe, one of each kind for the widest vectors that
// this CPU has. They are chosen by cpuid, so that one binary runs everywhere.
#ifndef COPPICE_RUNTIME_BENCH_PROBE_KERNELS_H
#define COPPICE_RUNTIME_BENCH_PROBE_KERNELS_H

#include <cstddef>
#include <cstdint>

namespace coppice::rt {

struct ProbeKernels {
  /// Independent chains of multiply-adds; returns a value that depends on all.
  float (*multiplyAdd)(int64_t iterations);
  double flopsPerIteration;

  /// Reads `count` floats (a multiple of 512) front to back, as one stream or
  /// as four that are a quarter apart; returns a value that depends on all.
  float (*readOneStream)(const float *data, size_t count);
  float (*readFourStreams)(const float *data, size_t count);
};

/// Of the widest vectors.
const ProbeKernels &probeKernels();

/// Chains of multiply-adds of one kind; null where this CPU has no such
/// instruction.
struct ProbeChains {
  float (*run)(int64_t iterations) = nullptr;
  double flopsPerIteration = 0;
};

/// Tiles of bf16.
ProbeChains probeTiles();
/// Dot instructions on pairs of bf16.
ProbeChains probeBf16();
/// f32 in 256-bit vectors, whatever else there is.
ProbeChains probeAvx2();

} // namespace coppice::rt

#endif
