// Generated weights (docs/bundle.md): a pure function of seed, tensor name and
// linear index in the original shape, so that any slice and any packing of a
// tensor can be made anywhere.
#ifndef COPPICE_RUNTIME_BASE_WEIGHT_GENERATOR_H
#define COPPICE_RUNTIME_BASE_WEIGHT_GENERATOR_H

#include "runtime/base/dtype.h"
#include "runtime/base/packing.h"

#include <cmath>
#include <cstdint>
#include <string_view>

namespace coppice::rt {

// The finaliser of SplitMix64 applied to x + 0x9E3779B97F4A7C15.
inline uint64_t splitmix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

inline uint64_t fnv1a64(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

// Uniform with the given mean and standard deviation; the values of one tensor.
class WeightGenerator {
public:
  WeightGenerator(uint64_t seed, std::string_view name, double mean,
                  double stddev)
      : start(fnv1a64(name) ^ splitmix64(seed)), mean(mean),
        scale(stddev * std::sqrt(3.0)) {}

  // Element `index` of the original. Computed in double, rounded once to f32:
  // narrower storage types are rounded from that f32.
  float operator()(int64_t index) const;

  // Elements [index, index + count), with the widest vectors that the CPU has;
  // the same bits as one by one.
  void fill(int64_t index, int64_t count, float *target) const;

private:
  uint64_t start;
  double mean, scale;
};

// Makes rows [rowBegin, rowEnd) of a packed tensor. `target`: zeroed memory for
// layout.packedElements() elements of a float type.
void generateRows(const WeightGenerator &generator, const PackedLayout &layout,
                  DType dtype, void *target, int64_t rowBegin, int64_t rowEnd);

} // namespace coppice::rt

#endif
