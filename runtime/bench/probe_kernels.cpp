// See probe_kernels.h. Each loop is written once over a vector type of the
// compilers' own (GCC and clang alike), and instantiated for each width inside
// a function with that target's attributes.
#include "runtime/bench/probe_kernels.h"

#include "runtime/cpu/cpu_features.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace coppice::rt {
namespace {

// Chains: enough to cover latency times throughput (4 cycles x 2 units), few
// enough to stay in registers beside the two factors.
#define COPPICE_PROBE_KERNELS(SUFFIX, TARGET, LANES, CHAINS)                   \
  typedef float Vector##SUFFIX __attribute__((vector_size(4 * LANES)));        \
                                                                               \
  TARGET float total##SUFFIX(const Vector##SUFFIX *vectors, int count) {       \
    float sum = 0;                                                             \
    for (int v = 0; v < count; ++v)                                            \
      for (int lane = 0; lane < LANES; ++lane)                                 \
        sum += vectors[v][lane];                                               \
    return sum;                                                                \
  }                                                                            \
                                                                               \
  TARGET float multiplyAdd##SUFFIX(int64_t iterations) {                       \
    Vector##SUFFIX chain[CHAINS], factor, addend;                              \
    for (int lane = 0; lane < LANES; ++lane) {                                 \
      factor[lane] = 0.5f;                                                     \
      addend[lane] = 1.0f;                                                     \
    }                                                                          \
    for (int c = 0; c < CHAINS; ++c)                                           \
      chain[c] = addend * static_cast<float>(c);                               \
    for (int64_t i = 0; i < iterations; ++i) {                                 \
      _Pragma("GCC unroll 16") for (int c = 0; c < CHAINS; ++c) chain[c] =     \
          chain[c] * factor + addend;                                          \
      /* The factors are opaque here, else the loop could be solved. */        \
      asm volatile("" : "+x"(factor), "+x"(addend));                           \
    }                                                                          \
    return total##SUFFIX(chain, CHAINS);                                       \
  }                                                                            \
                                                                               \
  TARGET float readOne##SUFFIX(const float *data, size_t count) {              \
    Vector##SUFFIX sum[8] = {};                                                \
    for (size_t i = 0; i < count; i += 8 * LANES)                              \
      _Pragma("GCC unroll 8") for (int u = 0; u < 8; ++u) {                    \
        Vector##SUFFIX loaded;                                                 \
        std::memcpy(&loaded, data + i + u * LANES, sizeof loaded);             \
        sum[u] += loaded;                                                      \
      }                                                                        \
    return total##SUFFIX(sum, 8);                                              \
  }                                                                            \
                                                                               \
  TARGET float readFour##SUFFIX(const float *data, size_t count) {             \
    Vector##SUFFIX sum[8] = {};                                                \
    size_t quarter = count / 4;                                                \
    for (size_t i = 0; i < quarter; i += 2 * LANES)                            \
      _Pragma("GCC unroll 8") for (int u = 0; u < 8; ++u) {                    \
        Vector##SUFFIX loaded;                                                 \
        const float *from = data + (u / 2) * quarter + i + (u % 2) * LANES;    \
        std::memcpy(&loaded, from, sizeof loaded);                             \
        sum[u] += loaded;                                                      \
      }                                                                        \
    return total##SUFFIX(sum, 8);                                              \
  }                                                                            \
                                                                               \
  constexpr ProbeKernels kernels##SUFFIX = {                                   \
      multiplyAdd##SUFFIX, 2.0 * LANES * CHAINS, readOne##SUFFIX,              \
      readFour##SUFFIX};

#if defined(__x86_64__)
COPPICE_PROBE_KERNELS(Avx512, __attribute__((target("avx512f,fma"))), 16, 16)
COPPICE_PROBE_KERNELS(Avx2, __attribute__((target("avx2,fma"))), 8, 12)
#endif
COPPICE_PROBE_KERNELS(Baseline, , 4, 12)

#if defined(__x86_64__)
// vdpbf16ps: 16 lanes, each the sum of two products added to an f32.
constexpr int dotChains = 16;
__attribute__((target("avx512f,avx512bf16"))) float dots(int64_t iterations) {
  __m512 chain[dotChains];
  for (int c = 0; c < dotChains; ++c)
    chain[c] = _mm512_set1_ps(static_cast<float>(c));
  // Pairs of 0.5 as bf16.
  __m512i halves = _mm512_set1_epi32(0x3F003F00);
  for (int64_t i = 0; i < iterations; ++i) {
    _Pragma("GCC unroll 16") for (int c = 0; c < dotChains; ++c) chain[c] =
        _mm512_dpbf16_ps(chain[c], (__m512bh)halves, (__m512bh)halves);
    asm volatile("" : "+x"(halves));
  }
  float sum = 0;
  for (int c = 0; c < dotChains; ++c)
    for (int lane = 0; lane < 16; ++lane)
      sum += chain[c][lane];
  return sum;
}

// tdpbf16ps: four tiles of sums, each 16 x 16 of 32 products.
constexpr int tileChains = 4;
__attribute__((target("amx-tile,amx-bf16"))) float tiles(int64_t iterations) {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, unused[14] = {};
    uint16_t columnBytes[16] = {};
    uint8_t rows[16] = {};
  } shape;
  for (int tile = 0; tile < 6; ++tile) {
    shape.columnBytes[tile] = 64;
    shape.rows[tile] = 16;
  }
  alignas(64) uint16_t halves[16 * 32];
  std::fill(std::begin(halves), std::end(halves), uint16_t(0x3F00));
  _tile_loadconfig(&shape);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, halves, 64);
  _tile_loadd(5, halves, 64);
  for (int64_t i = 0; i < iterations; ++i) {
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 5);
    _tile_dpbf16ps(2, 4, 5);
    _tile_dpbf16ps(3, 4, 5);
  }
  alignas(64) float sums[16 * 16];
  _tile_stored(0, sums, 64);
  _tile_release();
  return sums[0];
}
#endif

} // namespace

const ProbeKernels &probeKernels() {
#if defined(__x86_64__)
  if (hasCpuFeature("avx512f"))
    return kernelsAvx512;
  if (hasCpuFeature("avx2") && hasCpuFeature("fma"))
    return kernelsAvx2;
#endif
  return kernelsBaseline;
}

ProbeChains probeTiles() {
#if defined(__x86_64__)
  if (hasCpuFeature("amx_bf16") && hasCpuFeature("amx_tile"))
    return {tiles, 2.0 * 16 * 16 * 32 * tileChains};
#endif
  return {};
}

ProbeChains probeBf16() {
#if defined(__x86_64__)
  if (hasCpuFeature("avx512_bf16"))
    return {dots, 4.0 * 16 * dotChains};
#endif
  return {};
}

ProbeChains probeAvx2() {
#if defined(__x86_64__)
  if (hasCpuFeature("avx2") && hasCpuFeature("fma"))
    return {kernelsAvx2.multiplyAdd, kernelsAvx2.flopsPerIteration};
#endif
  return {};
}

} // namespace coppice::rt
