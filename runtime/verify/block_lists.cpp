// See block_lists.h.
#include "runtime/verify/block_lists.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace coppice::rt {

using List = std::span<const int32_t>;

/// What is in `list` and not in `other`.
static std::vector<int32_t> without(List list, List other) {
  std::vector<int32_t> left;
  for (int32_t block : list)
    if (std::find(other.begin(), other.end(), block) == other.end())
      left.push_back(block);
  return left;
}

/// By how much scores are against the fast list.
static double marginOf(List fast, List oracle, std::span<const float> scores) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  std::vector<int32_t> missed = without(oracle, fast),
                       wrong = without(fast, oracle);
  if (missed.size() != wrong.size() || missed.empty())
    return infinite; // the same blocks in another order, or not as many
  // Scores decide about blocks before the row's own, which is the last.
  int32_t own = *std::max_element(oracle.begin(), oracle.end());
  double largest = 0, best = -infinite, worst = infinite;
  for (float score : scores)
    largest = std::max(largest, std::abs(double(score)));
  for (size_t i = 0; i < wrong.size(); ++i) {
    int32_t mine = wrong[i], theirs = missed[i];
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

void compareBlockLists(BlocksReport &report, List fast, List oracle,
                       std::span<const float> scores) {
  ++report.lists;
  if (std::equal(fast.begin(), fast.end(), oracle.begin(), oracle.end()))
    return;
  ++report.disagreements;
  double margin = marginOf(fast, oracle, scores);
  if (std::isnan(margin) || margin > report.largestMargin)
    report.largestMargin = margin;
}

} // namespace coppice::rt
