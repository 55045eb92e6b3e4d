#include "coppice/Replace/SelectPattern.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <vector>

using namespace coppice;

/// In the order of magnitudes, of all that a float can be: Inf is the largest
/// number, and NaN above it. (Floats themselves are in no order that can be
/// sorted by, once there is a NaN.)
static uint32_t orderOf(float x) { return std::bit_cast<uint32_t>(x) << 1; }

void coppice::selectByMagnitude(std::span<float> row, int64_t kept,
                                int64_t of) {
  std::vector<size_t> order(static_cast<size_t>(of));
  for (size_t begin = 0; begin < row.size(); begin += order.size()) {
    size_t count = std::min(order.size(), row.size() - begin);
    std::span<float> group = row.subspan(begin, count);
    std::iota(order.begin(), order.begin() + count, size_t(0));
    std::sort(order.begin(), order.begin() + count, [&](size_t a, size_t b) {
      uint32_t x = orderOf(group[a]), y = orderOf(group[b]);
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
  std::vector<uint32_t> orders(elements.size());
  std::ranges::transform(elements, orders.begin(), orderOf);
  // The largest one that goes; some of its equals may stay.
  auto bound = orders.begin() + static_cast<std::ptrdiff_t>(zeros) - 1;
  std::ranges::nth_element(orders, bound);
  size_t smaller = static_cast<size_t>(std::count_if(
      orders.begin(), bound, [&](uint32_t order) { return order < *bound; }));
  size_t equal = static_cast<size_t>(std::ranges::count(orders, *bound));
  size_t staying = equal - (zeros - smaller);
  for (float &x : elements) {
    uint32_t order = orderOf(x);
    if (order < *bound || (order == *bound && staying == 0))
      x = 0.0f;
    else if (order == *bound)
      --staying;
  }
}
