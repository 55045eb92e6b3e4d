// Choices of blocks of positions, the fast program's and the oracle's.
#ifndef COPPICE_RUNTIME_VERIFY_BLOCK_LISTS_H
#define COPPICE_RUNTIME_VERIFY_BLOCK_LISTS_H

#include <cstdint>
#include <span>

namespace coppice::rt {

/// What choices of blocks have come to. Both programs attend by the fast one's
/// lists; these are held against those that the oracle would have made.
struct BlocksReport {
  int64_t lists = 0; ///< of a row and a KV head, in all steps
  /// Lists of the fast program that are not the oracle's, and by how much the
  /// oracle's scores are against them: the largest difference between a block
  /// that only the oracle has chosen and one that only the fast program has,
  /// over the largest score of the row. Infinite where no scores can decide.
  int64_t disagreements = 0;
  double largestMargin = 0;
  double tolerance = 0; ///< on that margin: below it rounding may decide
  bool holds() const { return largestMargin <= tolerance; } // false for NaN
};

/// Compares two lists, ascending with -1 behind their ends, given the oracle's
/// score of each block (empty: nothing is chosen by score).
void compareBlockLists(BlocksReport &report, std::span<const int32_t> fast,
                       std::span<const int32_t> oracle,
                       std::span<const float> scores);

} // namespace coppice::rt

#endif
