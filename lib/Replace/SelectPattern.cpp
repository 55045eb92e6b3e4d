#include "coppice/Replace/SelectPattern.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

using namespace coppice;

void coppice::selectByMagnitude(std::span<float> row, int64_t kept,
                                int64_t of) {
  std::vector<size_t> order(static_cast<size_t>(of));
  for (size_t begin = 0; begin < row.size(); begin += order.size()) {
    size_t count = std::min(order.size(), row.size() - begin);
    std::span<float> group = row.subspan(begin, count);
    std::iota(order.begin(), order.begin() + count, size_t(0));
    std::sort(order.begin(), order.begin() + count, [&](size_t a, size_t b) {
      float x = std::fabs(group[a]), y = std::fabs(group[b]);
      return x != y ? x > y : a < b;
    });
    for (size_t i = static_cast<size_t>(kept); i < count; ++i)
      group[order[i]] = 0.0f;
  }
}

void coppice::selectLargest(std::span<float> elements, double sparsity) {
  auto zeros = static_cast<size_t>(
      std::floor(sparsity * static_cast<double>(elements.size()) + 1e-9));
  if (zeros == 0)
    return;
  std::vector<float> magnitudes(elements.size());
  std::ranges::transform(elements, magnitudes.begin(),
                         [](float x) { return std::fabs(x); });
  // The largest one that goes; some of its equals may stay.
  auto bound = magnitudes.begin() + static_cast<std::ptrdiff_t>(zeros) - 1;
  std::ranges::nth_element(magnitudes, bound);
  size_t smaller = static_cast<size_t>(
      std::count_if(magnitudes.begin(), bound,
                    [&](float magnitude) { return magnitude < *bound; }));
  size_t equal = static_cast<size_t>(std::ranges::count(magnitudes, *bound));
  size_t staying = equal - (zeros - smaller);
  for (float &x : elements) {
    float magnitude = std::fabs(x);
    if (magnitude < *bound || (magnitude == *bound && staying == 0))
      x = 0.0f;
    else if (magnitude == *bound)
      --staying;
  }
}
