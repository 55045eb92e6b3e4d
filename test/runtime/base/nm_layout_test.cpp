// N:M weights as kernels read them, decoded again by the description.
#include "runtime/base/nm_layout.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace coppice::rt {
namespace {

struct Pattern {
  int64_t kept, of;
};
const Pattern patterns[] = {{1, 2}, {2, 4}, {1, 4}};

template <typename Element>
std::vector<Element> randomRow(int64_t k, const NMLayout &layout,
                               std::mt19937 &engine) {
  std::vector<Element> row(static_cast<size_t>(k));
  for (int64_t group = 0; group < k; group += layout.groupSize())
    for (int64_t i = 0; i < layout.keptOfGroup(); ++i) {
      auto place = group + int64_t(engine() % uint64_t(layout.groupSize()));
      if (place < k)
        row[size_t(place)] = Element(engine() & 0x7fff);
    }
  return row;
}

// Element [n, k] by the text of docs/bundle.md.
template <typename Element>
std::vector<Element> decodeRow(const std::vector<Element> &packed,
                               const NMLayout &layout, int64_t n, int64_t k,
                               int64_t panel, int64_t depth) {
  int64_t steps = (k + layout.stepColumns() - 1) / layout.stepColumns(),
          bits = layout.positionBits(), share = layout.share(), c = n % panel;
  std::vector<Element> row(size_t(steps * layout.stepColumns()));
  for (int64_t s = 0; s < steps; ++s) {
    const Element *step =
        packed.data() + (n / panel * steps + s) * layout.stepElements();
    uint32_t word;
    std::memcpy(&word,
                reinterpret_cast<const char *>(step + layout.valueElements()) +
                    4 * (c / 8 / share * 8 + c % 8),
                4);
    word >>= c / 8 % share * layout.keptOfStep() * bits;
    for (int64_t j = 0; j < layout.keptOfStep(); ++j) {
      auto position = int64_t(word >> (j * bits) & ((1u << bits) - 1));
      EXPECT_LT(position, layout.groupSize());
      Element value = step[j / depth * panel * depth + c * depth + j % depth];
      if (value)
        row[size_t(s * layout.stepColumns() +
                   j / layout.keptOfGroup() * layout.groupSize() + position)] =
            value;
    }
  }
  row.resize(size_t(k));
  return row;
}

template <typename Element>
void roundTrip(Pattern pattern, int64_t panel, int64_t depth,
               std::mt19937 &engine) {
  auto layout = NMLayout::make(pattern.kept, pattern.of, panel, depth,
                               int64_t(sizeof(Element)));
  ASSERT_TRUE(layout);
  const auto n = int64_t(1 + engine() % 150), k = int64_t(1 + engine() % 100);
  SCOPED_TRACE(testing::Message()
               << pattern.kept << " of " << pattern.of << ", " << n << " x "
               << k << ", panels of " << panel << ", depth " << depth);
  int64_t steps = (k + layout->stepColumns() - 1) / layout->stepColumns();
  std::vector<Element> packed(
      size_t((n + panel - 1) / panel * steps * layout->stepElements()));
  std::vector<std::vector<Element>> rows;
  for (int64_t row = 0; row < n; ++row) {
    rows.push_back(randomRow<Element>(k, *layout, engine));
    ASSERT_TRUE(layout->packRow(rows.back().data(), k, row, packed.data()));
  }
  for (int64_t row = 0; row < n; ++row)
    ASSERT_EQ(decodeRow(packed, *layout, row, k, panel, depth),
              rows[size_t(row)])
        << "row " << row;
}

TEST(NMLayoutTest, WhatIsKeptComesBack) {
  std::random_device device;
  std::mt19937 engine(device());
  for (Pattern pattern : patterns)
    for (int64_t panel : {16, 48, 64}) {
      roundTrip<uint16_t>(pattern, panel, 2, engine);
      roundTrip<uint16_t>(pattern, panel, 1, engine);
      roundTrip<uint32_t>(pattern, panel, 1, engine);
    }
}

// The same of what tensor cores read. Positions ascend, or the instruction does
// something that nobody has defined.
std::vector<uint16_t> decodeForTensorCores(const uint16_t *packed, int64_t n,
                                           int64_t k) {
  int64_t steps = (k + 63) / 64, place = n % 16 % 2 * 8 + n % 16 / 2;
  std::vector<uint16_t> row(size_t(steps * 64));
  for (int64_t group = 0; group < steps * 16; ++group) {
    const uint16_t *step = packed + (n / 16 * steps + group / 16) * 576;
    int64_t k16 = group % 16 / 4;
    uint16_t bits =
        step[512 + ((k16 / 2 * 8 + place % 8) * 2 + k16 % 2) * 2 + place / 8];
    int64_t two = bits >> (group % 4 * 4) & 15, first = two & 3,
            second = two >> 2;
    EXPECT_LT(first, second);
    row[size_t(4 * group + first)] = step[place * 32 + group % 16 * 2];
    row[size_t(4 * group + second)] = step[place * 32 + group % 16 * 2 + 1];
  }
  EXPECT_TRUE(std::all_of(row.begin() + k, row.end(),
                          [](uint16_t value) { return value == 0; }));
  row.resize(size_t(k));
  return row;
}

TEST(NMLayoutTest, WhatIsKeptForTensorCoresComesBack) {
  std::random_device device;
  std::mt19937 engine(device());
  for (Pattern pattern : patterns) {
    auto layout = NMLayout::make(pattern.kept, pattern.of, 16, 32, 2);
    ASSERT_TRUE(layout);
    EXPECT_EQ(layout->stepElements(), 576); // of 1024
    const auto n = int64_t(1 + engine() % 50), k = int64_t(1 + engine() % 200);
    SCOPED_TRACE(testing::Message() << pattern.kept << " of " << pattern.of
                                    << ", " << n << " x " << k);
    const int64_t panels = (n + 15) / 16, steps = (k + 63) / 64;
    std::vector<uint16_t> packed(size_t(panels * steps * 576));
    std::vector<std::vector<uint16_t>> rows;
    for (int64_t row = 0; row < n; ++row) {
      rows.push_back(randomRow<uint16_t>(k, *layout, engine));
      ASSERT_TRUE(layout->packRow(rows.back().data(), k, row, packed.data()));
    }
    for (int64_t row = 0; row < panels * 16; ++row)
      ASSERT_EQ(decodeForTensorCores(packed.data(), row, k),
                row < n ? rows[size_t(row)] : std::vector<uint16_t>(size_t(k)))
          << "row " << row;
    const uint16_t bad[] = {1, 2, 3, 0};
    EXPECT_FALSE(layout->packRow(bad, 4, 0, packed.data()));
  }
}

TEST(NMLayoutTest, TwoOfFourTakesNineSixteenthsOfBF16) {
  auto layout = NMLayout::make(2, 4, 64, 2, 2);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->stepColumns(), 4);
  EXPECT_EQ(layout->stepElements(), 144); // of 256
}

TEST(NMLayoutTest, TooManyAreRefused) {
  auto layout = NMLayout::make(2, 4, 16, 1, 4);
  ASSERT_TRUE(layout);
  std::vector<float> packed(size_t(layout->stepElements() * 2));
  const float good[] = {0, 1, -0.0f, 2, 0, 0, 3}, bad[] = {0, 0, 0, 0, 1, 2, 3};
  EXPECT_TRUE(layout->packRow(good, 7, 0, packed.data()));
  EXPECT_FALSE(layout->packRow(bad, 7, 1, packed.data()));
}

TEST(NMLayoutTest, OtherPatternsHaveNone) {
  EXPECT_FALSE(NMLayout::make(3, 4, 64, 2, 2)); // no less work
  EXPECT_FALSE(NMLayout::make(4, 8, 64, 2, 2));
  EXPECT_FALSE(NMLayout::make(2, 16, 64, 2, 2));
  EXPECT_FALSE(NMLayout::make(0, 4, 64, 2, 2));
  EXPECT_FALSE(NMLayout::make(2, 4, 12, 2, 2));
  EXPECT_FALSE(NMLayout::make(2, 4, 64, 32, 2));
  EXPECT_FALSE(NMLayout::make(2, 4, 16, 32, 4));
}

} // namespace
} // namespace coppice::rt
