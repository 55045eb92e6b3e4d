#include "coppice/Import/BitmaskLayout.h"

#include "runtime/base/concat.h"

#include <bit>
#include <cstring>

namespace coppice {

std::string bitmaskKey(std::string_view weightKey, std::string_view part) {
  constexpr std::string_view suffix = ".weight";
  if (weightKey.ends_with(suffix))
    weightKey.remove_suffix(suffix.size());
  return rt::concat(weightKey, ".", part);
}

bool isBitmask24(std::span<const std::byte> mask, int64_t width) {
  for (int64_t group = 0; group < width; group += 4) {
    const unsigned bits = unsigned(mask[size_t(group / 8)]) >> (group % 8);
    if (std::popcount(bits & 15u) != 2)
      return false;
  }
  // Nothing behind the last group.
  return width % 8 == 0 || unsigned(mask.back()) >> 4 == 0;
}

void expandBitmaskRow(const std::byte *compressed, const std::byte *mask,
                      int64_t width, int64_t size, std::byte *row) {
  std::memset(row, 0, size_t(width * size));
  for (int64_t i = 0; i < width; ++i)
    if ((unsigned(mask[i / 8]) >> (i % 8)) & 1u) {
      std::memcpy(row + i * size, compressed, size_t(size));
      compressed += size;
    }
}

} // namespace coppice
