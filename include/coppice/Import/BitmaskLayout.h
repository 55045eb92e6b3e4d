// 2:4 sparsity as the library compressed-tensors stores it, in its format
// "sparse-24-bitmask": in the place of a matrix `X.weight` [N, K] there are
//   X.compressed [N, K / 2]         of each four neighbours of a row the two
//                                   that may be other than zero, in their
//                                   order,
//   X.bitmask    [N, ceil(K / 8)]   u8: a bit for each element of a row, the
//                                   lowest first, is it one of the two?
//   X.shape      [2, 1]             i64: N, K.
#ifndef COPPICE_IMPORT_BITMASKLAYOUT_H
#define COPPICE_IMPORT_BITMASKLAYOUT_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace coppice {

inline constexpr std::string_view bitmaskFormat = "sparse-24-bitmask";

/// "X.compressed" and the like of "X.weight".
std::string bitmaskKey(std::string_view weightKey, std::string_view part);

inline int64_t bitmaskBytes(int64_t width) { return (width + 7) / 8; }

/// Does the mask of a row of `width` elements have two of each four?
bool isBitmask24(std::span<const std::byte> mask, int64_t width);

/// The row that `compressed` and its mask stand for. `size`: bytes of an
/// element.
void expandBitmaskRow(const std::byte *compressed, const std::byte *mask,
                      int64_t width, int64_t size, std::byte *row);

/// The reverse, where of each four elements at most two are other than zero,
/// which the caller has seen to; `isZero` says which are. Where fewer are not,
/// the first zeros are taken with them.
template <typename IsZero>
void makeBitmaskRow(int64_t width, IsZero isZero, std::byte *mask) {
  for (int64_t byte = 0; byte < bitmaskBytes(width); ++byte)
    mask[byte] = std::byte(0);
  for (int64_t group = 0; group < width; group += 4) {
    unsigned taken = 0, count = 0;
    for (bool zeros : {false, true})
      for (int64_t i = 0; i < 4 && count < 2; ++i)
        if (isZero(group + i) == zeros) {
          taken |= 1u << i;
          ++count;
        }
    mask[group / 8] |= std::byte(taken << (group % 8));
  }
}

} // namespace coppice

#endif // COPPICE_IMPORT_BITMASKLAYOUT_H
