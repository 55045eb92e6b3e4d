// One row of logits comes in, the next token's id goes out.
#ifndef COPPICE_RUNTIME_EVALUATE_SAMPLER_H
#define COPPICE_RUNTIME_EVALUATE_SAMPLER_H

#include "runtime/base/status.h"

#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace coppice::rt {

/// The index of the greatest logit, the first of equals. NaN is never it.
int32_t argmax(std::span<const float> logits);

/// Draws from softmax(logits / temperature), restricted to the fewest most
/// probable tokens whose probabilities reach `topP` (nucleus sampling, Holtzman
/// et al. 2020). Temperature 0 is greedy. The same seed and logits give the
/// same ids on every machine.
class Sampler {
public:
  /// temperature >= 0 and 0 < topP <= 1, else an invalid argument.
  static Result<Sampler> create(double temperature, double topP, uint64_t seed);

  /// Logits with NaN are an invalid argument: nothing sane can be drawn.
  Result<int32_t> next(std::span<const float> logits);

private:
  Sampler(double temperature, double topP, uint64_t seed)
      : temperature(temperature), topP(topP), random(seed) {}

  double temperature, topP;
  std::mt19937_64 random;
  std::vector<double> weights;
  std::vector<int32_t> order;
};

} // namespace coppice::rt

#endif
