// Integer arithmetic on sizes read from files: no result where it would
// overflow.
#ifndef COPPICE_RUNTIME_BASE_CHECKED_H
#define COPPICE_RUNTIME_BASE_CHECKED_H

#include <cstdint>
#include <optional>
#include <span>

namespace coppice::rt {

inline std::optional<int64_t> checkedAdd(int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum))
    return std::nullopt;
  return sum;
}

inline std::optional<int64_t> checkedMul(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product))
    return std::nullopt;
  return product;
}

// Product of extents; nothing where one is negative or the product overflows.
// The empty product is 1. A zero extent does not hide an overflow of the rest:
// code that multiplies in another order would still meet it.
inline std::optional<int64_t> checkedProduct(std::span<const int64_t> extents) {
  int64_t product = 1;
  bool empty = false;
  for (int64_t extent : extents) {
    if (extent < 0)
      return std::nullopt;
    if (extent == 0) {
      empty = true;
      continue;
    }
    if (__builtin_mul_overflow(product, extent, &product))
      return std::nullopt;
  }
  return empty ? 0 : product;
}

// `value` rounded up to a multiple of `to` (a power of two).
inline std::optional<int64_t> checkedAlign(int64_t value, int64_t to) {
  auto sum = checkedAdd(value, to - 1);
  if (!sum)
    return std::nullopt;
  return *sum & ~(to - 1);
}

} // namespace coppice::rt

#endif
