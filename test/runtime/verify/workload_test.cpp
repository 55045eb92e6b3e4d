// The steps that verify runs must be legal (contiguous positions per slot),
// feed every token once and differ by seed.
#include "runtime/verify/workload.h"

#include <gtest/gtest.h>
#include <map>
#include <set>

using namespace coppice::rt;

TEST(Workload, FeedsContiguousPositionsOfEachSlot) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    WorkloadOptions options;
    options.batch = 1 + seed % 4;
    options.length = 1 + seed % 17;
    options.vocabulary = 37;
    options.seed = seed;
    std::map<int32_t, int32_t> next;
    std::set<int32_t> slots;
    for (const StepRows &step : makeWorkload(options)) {
      ASSERT_EQ(step.tokens.size(), step.slots.size());
      ASSERT_EQ(step.tokens.size(), step.positions.size());
      ASSERT_EQ(step.tokens.size(), step.headRows.size());
      for (size_t row = 0; row < step.tokens.size(); ++row) {
        EXPECT_EQ(step.positions[row], next[step.slots[row]]++);
        EXPECT_GE(step.tokens[row], 0);
        EXPECT_LT(step.tokens[row], 37);
        slots.insert(step.slots[row]);
      }
    }
    EXPECT_EQ(slots.size(), size_t(options.batch));
    EXPECT_LT(*slots.rbegin(), options.batch);
    int32_t longest = 0;
    for (auto [slot, length] : next)
      longest = std::max(longest, length);
    EXPECT_EQ(longest, options.length);
  }
}

TEST(Workload, MixesPrefillThatContinuesAPastWithDecodeRows) {
  bool continued = false, mixed = false;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    WorkloadOptions options;
    options.batch = 4;
    options.length = 24;
    options.vocabulary = 100;
    options.seed = seed;
    for (const StepRows &step : makeWorkload(options)) {
      std::map<int32_t, int> rows;
      std::map<int32_t, int32_t> first;
      for (size_t row = 0; row < step.tokens.size(); ++row) {
        ++rows[step.slots[row]];
        first.try_emplace(step.slots[row], step.positions[row]);
      }
      bool one = false, many = false;
      for (auto [slot, count] : rows) {
        one |= count == 1 && first[slot] > 0;
        many |= count > 1 && first[slot] > 0;
      }
      continued |= many;
      mixed |= one && many;
    }
  }
  EXPECT_TRUE(continued);
  EXPECT_TRUE(mixed);
}

TEST(Workload, IsAFunctionOfTheSeed) {
  WorkloadOptions options;
  options.vocabulary = 1000;
  auto first = makeWorkload(options), again = makeWorkload(options);
  ASSERT_EQ(first.size(), again.size());
  EXPECT_EQ(first[0].tokens, again[0].tokens);
  options.seed = 1;
  EXPECT_NE(first[0].tokens, makeWorkload(options)[0].tokens);
}
