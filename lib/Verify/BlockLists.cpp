// See BlockLists.h.
#include "coppice/Verify/BlockLists.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include <cmath>
#include <limits>

using namespace llvm;

namespace coppice {

/// What is in `list` and not in `other`.
static SmallVector<int32_t> without(ArrayRef<int32_t> list,
                                    ArrayRef<int32_t> other) {
  SmallVector<int32_t> left;
  for (int32_t block : list)
    if (!is_contained(other, block))
      left.push_back(block);
  return left;
}

/// By how much scores are against the fast list.
static double marginOf(ArrayRef<int32_t> fast, ArrayRef<int32_t> oracle,
                       ArrayRef<float> scores) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  SmallVector<int32_t> missed = without(oracle, fast),
                       wrong = without(fast, oracle);
  if (missed.size() != wrong.size() || missed.empty())
    return infinite; // the same blocks in another order, or not as many
  // Scores decide about blocks before the row's own, which is the last.
  int32_t own = *max_element(oracle);
  double largest = 0, best = -infinite, worst = infinite;
  for (float score : scores)
    largest = std::max(largest, std::abs(double(score)));
  for (auto [mine, theirs] : zip_equal(wrong, missed)) {
    if (mine < 0 || mine >= own || theirs < 0 || theirs >= own ||
        size_t(own) > scores.size())
      return infinite;
    // Of NaN nothing can be said, and std::max would pass over it.
    if (std::isnan(scores[theirs]) || std::isnan(scores[mine]))
      return std::numeric_limits<double>::quiet_NaN();
    best = std::max(best, double(scores[theirs]));
    worst = std::min(worst, double(scores[mine]));
  }
  return largest > 0 ? std::max(0.0, (best - worst) / largest) : 0;
}

void compareBlockLists(BlocksReport &report, ArrayRef<int32_t> fast,
                       ArrayRef<int32_t> oracle, ArrayRef<float> scores) {
  ++report.lists;
  if (fast == oracle)
    return;
  ++report.disagreements;
  double margin = marginOf(fast, oracle, scores);
  if (std::isnan(margin) || margin > report.largestMargin)
    report.largestMargin = margin;
}

} // namespace coppice
