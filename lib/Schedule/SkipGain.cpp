// See SkipGain.h.
#include "SkipGain.h"

#include "coppice/Codegen/CPU/PatternLayout.h"

#include <numeric>

using namespace coppice;

/// Granules that no packing serves are computed by plain loops.
static constexpr double kPlainLoops = 6;

double coppice::timeByGroups(int64_t size, double kept, mlir::Type weight) {
  if (!cpu::areGroupsPacked(size, weight))
    return kept * kPlainLoops;
  return kept * (1 + 8 / static_cast<double>(size));
}

double coppice::timeByPanels(int64_t size, double kept) {
  constexpr int64_t widest = 64;
  if (!cpu::arePanelsPacked(size))
    return kept * kPlainLoops;
  auto panel = static_cast<double>(std::gcd(widest, size));
  return kept * (1 + 5 * (1 / panel - 1 / static_cast<double>(widest)));
}

double coppice::timeOfMask(int64_t k) {
  // A pass over the input takes as long as this many columns of the product.
  constexpr double columns = 16;
  return columns * static_cast<double>(k);
}

double coppice::timeByZeros(double zeros) {
  constexpr double looking = 0.04;
  return (1 - zeros) * (1 + looking);
}
