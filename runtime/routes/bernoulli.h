// Masks by chance, as a pure function: no state, so that prefill and decode
// agree and the order of rows does not matter.
#ifndef COPPICE_RUNTIME_ROUTES_BERNOULLI_H
#define COPPICE_RUNTIME_ROUTES_BERNOULLI_H

#include <cstdint>
#include <string_view>

namespace coppice::rt {

/// Is the row kept? With h = fnv1a64(route) ^ splitmix64(seed) and
/// u = (splitmix64(splitmix64(splitmix64(h + group) + sequence) + position)
/// >> 40) / 2^24, it is where u < probability.
bool drawDecision(uint64_t seed, std::string_view route, int64_t group,
                  int64_t sequence, int64_t position, double probability);

} // namespace coppice::rt

#endif
