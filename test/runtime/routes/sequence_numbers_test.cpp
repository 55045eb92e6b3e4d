// Sequences have one number, whatever slots they are fed to.
#include "runtime/routes/sequence_numbers.h"

#include <gtest/gtest.h>

namespace coppice::rt {
namespace {

using Numbers = std::vector<int32_t>;

Numbers assign(SequenceNumbers &numbers, const Numbers &slots,
               const Numbers &positions) {
  return numbers.assign(slots, positions);
}

TEST(SequenceNumbers, AreCountedInTheOrderOfBeginning) {
  SequenceNumbers numbers;
  // In one step the order of rows does not matter, that of slots does.
  EXPECT_EQ(assign(numbers, {2, 0, 2, 0}, {0, 0, 1, 1}), (Numbers{1, 0, 1, 0}));
  EXPECT_EQ(assign(numbers, {0, 2}, {2, 2}), (Numbers{0, 1}));
  // Slot 0 begins another sequence, slot 2 goes on; then slot 1 begins.
  EXPECT_EQ(assign(numbers, {2, 0}, {3, 0}), (Numbers{1, 2}));
  EXPECT_EQ(assign(numbers, {0, 1, 1}, {1, 0, 1}), (Numbers{2, 3, 3}));
  numbers.restart();
  EXPECT_EQ(assign(numbers, {1}, {5}), (Numbers{0}));
}

// Four sequences of two tokens: on one slot one after another, or on three.
TEST(SequenceNumbers, DoNotDependOnHowManySlotsThereAre) {
  SequenceNumbers one, three;
  for (int32_t sequence = 0; sequence < 4; ++sequence)
    EXPECT_EQ(assign(one, {0, 0}, {0, 1}), (Numbers{sequence, sequence}));
  EXPECT_EQ(assign(three, {0, 1, 2}, {0, 0, 0}), (Numbers{0, 1, 2}));
  EXPECT_EQ(assign(three, {0, 1, 2}, {1, 1, 1}), (Numbers{0, 1, 2}));
  EXPECT_EQ(assign(three, {0, 0}, {0, 1}), (Numbers{3, 3}));
}

} // namespace
} // namespace coppice::rt
