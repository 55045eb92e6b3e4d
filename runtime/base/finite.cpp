#include "runtime/base/finite.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace coppice::rt {
namespace {

template <typename Bits> Bits bitsAt(const std::byte *array, int64_t index) {
  Bits bits;
  std::memcpy(&bits, array + index * int64_t(sizeof(Bits)), sizeof(Bits));
  return bits;
}

// Are all exponent bits set somewhere in [begin, end)? No branch in the loop,
// so that it vectorises.
template <typename Bits>
bool anyNonFinite(const std::byte *array, int64_t begin, int64_t end,
                  Bits exponent) {
  Bits found = 0;
  for (int64_t i = begin; i < end; ++i)
    found |= Bits((bitsAt<Bits>(array, i) & exponent) == exponent);
  return found != 0;
}

template <typename Bits>
int64_t locateNonFinite(const void *data, int64_t begin, int64_t end,
                        Bits exponent) {
  const auto *array = static_cast<const std::byte *>(data);
  constexpr int64_t block = 4096;
  for (int64_t at = begin; at < end; at += block) {
    int64_t stop = std::min(at + block, end);
    if (!anyNonFinite(array, at, stop, exponent))
      continue;
    while ((bitsAt<Bits>(array, at) & exponent) != exponent)
      ++at;
    return at;
  }
  return end;
}

} // namespace

int64_t firstNonFinite(DType dtype, const void *data, int64_t begin,
                       int64_t end) {
  switch (dtype) {
  case DType::F32:
    return locateNonFinite<uint32_t>(data, begin, end, 0x7F800000u);
  case DType::F16:
    return locateNonFinite<uint16_t>(data, begin, end, 0x7C00u);
  case DType::BF16:
    return locateNonFinite<uint16_t>(data, begin, end, 0x7F80u);
  case DType::F64:
    return locateNonFinite<uint64_t>(data, begin, end, 0x7FF0000000000000u);
  default:
    return end;
  }
}

} // namespace coppice::rt
