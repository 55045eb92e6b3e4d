// Properties of the memory plan: buffers that live at the same time are
// disjoint for any values of the symbols, and the arena is not much larger than
// what lives at once.
#include "coppice/Schedule/MemoryLayout.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

using namespace coppice;

static bool liveTogether(const MemoryInterval &a, const MemoryInterval &b) {
  return a.first <= b.last && b.first <= a.last;
}

/// The most that lives at any one position.
static int64_t peak(const std::vector<MemoryInterval> &intervals,
                    int64_t positions) {
  int64_t most = 0;
  for (int64_t at = 0; at < positions; ++at) {
    int64_t sum = 0;
    for (const MemoryInterval &interval : intervals)
      if (interval.first <= at && at <= interval.last)
        sum += interval.size;
    most = std::max(most, sum);
  }
  return most;
}

TEST(MemoryLayout, BuffersThatLiveTogetherAreDisjointForAllSymbols) {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 200; ++trial) {
    int64_t positions = 1 + int64_t(random() % 40);
    std::vector<MemoryInterval> intervals(1 + random() % 60);
    for (MemoryInterval &interval : intervals) {
      int64_t a = int64_t(random() % uint64_t(positions)),
              b = int64_t(random() % uint64_t(positions));
      interval = {64 * int64_t(1 + random() % 50), std::min(a, b),
                  std::max(a, b), -1};
    }
    int64_t total = placeIntervals(intervals);
    for (int64_t rows : {int64_t(1), int64_t(7), int64_t(random() % 5000)})
      for (size_t i = 0; i < intervals.size(); ++i) {
        ASSERT_GE(intervals[i].offset, 0);
        ASSERT_EQ(intervals[i].offset % 64, 0);
        ASSERT_LE(intervals[i].offset + intervals[i].size, total);
        for (size_t j = i + 1; j < intervals.size(); ++j) {
          const MemoryInterval &a = intervals[i], &b = intervals[j];
          if (liveTogether(a, b))
            ASSERT_TRUE((a.offset + a.size) * rows <= b.offset * rows ||
                        (b.offset + b.size) * rows <= a.offset * rows)
                << "trial " << trial << ": " << i << " and " << j;
        }
      }
    EXPECT_LE(total, 2 * peak(intervals, positions));
  }
}

TEST(MemoryLayout, ChainOfLayersNeedsNoMoreThanOneLayer) {
  // A residual that lives throughout, and per layer: a norm, two wide, one
  // back.
  std::vector<MemoryInterval> intervals = {{64, 0, 400, 0}};
  for (int64_t layer = 0; layer < 100; ++layer) {
    int64_t at = 4 * layer;
    intervals.push_back({64, at, at + 2, 0});
    intervals.push_back({192, at + 1, at + 2, 0});
    intervals.push_back({192, at + 2, at + 3, 0});
  }
  EXPECT_EQ(placeIntervals(intervals), 64 + 64 + 192 + 192);
}

TEST(MemoryLayout, NothingAndEmptyBuffers) {
  std::vector<MemoryInterval> none;
  EXPECT_EQ(placeIntervals(none), 0);
  std::vector<MemoryInterval> empty = {{0, 0, 3, -1}, {64, 1, 2, -1}};
  EXPECT_EQ(placeIntervals(empty), 64);
}
