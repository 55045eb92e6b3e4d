// See bernoulli.h.
#include "runtime/routes/bernoulli.h"

#include "runtime/base/weight_generator.h"

namespace coppice::rt {

bool drawDecision(uint64_t seed, std::string_view route, int64_t group,
                  int64_t sequence, int64_t position, double probability) {
  uint64_t h = fnv1a64(route) ^ splitmix64(seed);
  h = splitmix64(h + uint64_t(group));
  h = splitmix64(h + uint64_t(sequence));
  h = splitmix64(h + uint64_t(position));
  return double(h >> 40) * 0x1p-24 < probability;
}

} // namespace coppice::rt
