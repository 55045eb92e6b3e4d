// The loop over elements is written once and compiled for several vector
// widths. Every operation in it rounds as its scalar form does, and this file
// is compiled without contraction of multiply and add (CMakeLists.txt), so that
// all of them give the same bits.
#include "runtime/base/weight_generator.h"

#include <algorithm>
#include <cstddef>

namespace coppice::rt {
namespace {

struct Values {
  uint64_t start;
  double mean, scale;
};

[[gnu::always_inline]] inline float value(const Values &v, uint64_t index) {
  // 24 bits: a conversion from 32 is the one that all vector units have.
  auto bits = int32_t(splitmix64(v.start + index) >> 40);
  double u = double(bits) * 0x1p-24;
  return float(v.mean + v.scale * (2 * u - 1));
}

[[gnu::always_inline]] inline void fillWith(const Values &v, int64_t index,
                                            int64_t count, float *target) {
  for (int64_t i = 0; i < count; ++i)
    target[i] = value(v, uint64_t(index + i));
}

using Fill = void (*)(const Values &, int64_t, int64_t, float *);

void fillScalar(const Values &v, int64_t index, int64_t count, float *target) {
  fillWith(v, index, count, target);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void fillAvx2(const Values &v, int64_t index,
                                              int64_t count, float *target) {
  fillWith(v, index, count, target);
}

// 64-bit products are one instruction here.
__attribute__((target("avx512f,avx512dq,avx512vl"))) void
fillAvx512(const Values &v, int64_t index, int64_t count, float *target) {
  fillWith(v, index, count, target);
}

Fill chooseFill() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return fillAvx512;
  return __builtin_cpu_supports("avx2") ? fillAvx2 : fillScalar;
}
#else
Fill chooseFill() { return fillScalar; }
#endif

const Fill fillBest = chooseFill();

// Elements of a run that are made at a time: they stay in the first-level cache
// between the steps.
constexpr int64_t block = 1024;

void storeBlock(const PackedLayout::Run &run, int64_t first, int64_t count,
                const float *values, DType dtype, void *target) {
  uint16_t narrow[block];
  switch (dtype) {
  case DType::F32:
    return PackedLayout::scatter(run, first, count, values, 4, target);
  case DType::BF16:
    for (int64_t i = 0; i < count; ++i)
      narrow[i] = f32ToBf16(values[i]);
    return PackedLayout::scatter(run, first, count, narrow, 2, target);
  case DType::F16:
    for (int64_t i = 0; i < count; ++i)
      narrow[i] = f32ToF16(values[i]);
    return PackedLayout::scatter(run, first, count, narrow, 2, target);
  default:
    for (int64_t i = 0; i < count; ++i)
      storeFromF32(dtype, target, run.place(first + i), values[i]);
  }
}

} // namespace

float WeightGenerator::operator()(int64_t index) const {
  return value({start, mean, scale}, uint64_t(index));
}

void WeightGenerator::fill(int64_t index, int64_t count, float *target) const {
  fillBest({start, mean, scale}, index, count, target);
}

void generateRows(const WeightGenerator &generator, const PackedLayout &layout,
                  DType dtype, void *target, int64_t rowBegin, int64_t rowEnd) {
  float values[block];
  layout.forEachRun(rowBegin, rowEnd, [&](const PackedLayout::Run &run) {
    for (int64_t first = 0; first < run.count; first += block) {
      int64_t count = std::min(block, run.count - first);
      generator.fill(run.source + first, count, values);
      storeBlock(run, first, count, values, dtype, target);
    }
  });
}

} // namespace coppice::rt
