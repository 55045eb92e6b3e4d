// See sampler.h.
#include "runtime/evaluate/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

namespace coppice::rt {

int32_t argmax(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 1; i < logits.size(); ++i)
    if (logits[i] > logits[best] || std::isnan(logits[best]))
      best = i;
  return static_cast<int32_t>(best);
}

Result<Sampler> Sampler::create(double temperature, double topP,
                                uint64_t seed) {
  if (!(temperature >= 0) || !std::isfinite(temperature))
    return invalidArgument("temperature: expected 0 or more, found " +
                           std::to_string(temperature));
  if (!(topP > 0 && topP <= 1))
    return invalidArgument("top-p: expected more than 0 and at most 1, found " +
                           std::to_string(topP));
  return Sampler(temperature, topP, seed);
}

Result<int32_t> Sampler::next(std::span<const float> logits) {
  for (float logit : logits)
    if (std::isnan(logit))
      return invalidArgument(
          "logits: expected numbers to sample from, found NaN");
  int32_t best = argmax(logits);
  if (temperature == 0)
    return best;

  double greatest = logits[static_cast<size_t>(best)];
  weights.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    // An infinite greatest logit has all the weight; inf - inf would be NaN.
    weights[i] = logits[i] == greatest
                     ? 1.0
                     : std::exp((logits[i] - greatest) / temperature);
  order.resize(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    double wa = weights[static_cast<size_t>(a)],
           wb = weights[static_cast<size_t>(b)];
    return wa != wb ? wa > wb : a < b;
  });

  double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  size_t kept = 0;
  double mass = 0;
  while (kept < order.size() && (kept == 0 || mass < topP * total))
    mass += weights[static_cast<size_t>(order[kept++])];

  // 53 random bits: the standard fixes the engine's output, not that of
  // std::uniform_real_distribution.
  double draw = static_cast<double>(random() >> 11) * 0x1p-53 * mass;
  for (size_t i = 0; i + 1 < kept; ++i) {
    draw -= weights[static_cast<size_t>(order[i])];
    if (draw < 0)
      return order[i];
  }
  return order[kept - 1];
}

} // namespace coppice::rt
