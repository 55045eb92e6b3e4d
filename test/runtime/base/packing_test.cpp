// Generated weights, kept slices and packings.
#include "runtime/base/packing.h"
#include "runtime/base/weight_generator.h"

#include <gtest/gtest.h>
#include <numeric>

namespace coppice::rt {
namespace {

using Values = std::vector<int32_t>;
using Shape = std::vector<int64_t>;

Values iota(int64_t count) {
  Values values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 1);
  return values;
}

Values packed(const Shape &shape, const std::vector<KeptAxis> &kept,
              Packing packing, Shape &outShape) {
  auto layout = PackedLayout::make(shape, kept, packing);
  EXPECT_TRUE(layout) << layout.status().message();
  int64_t count = 1;
  for (int64_t extent : shape)
    count *= extent;
  Values source = iota(count), out(size_t(layout->packedElements()));
  layout->pack(source.data(), 4, out.data());
  outShape = layout->packedShape();
  return out;
}

TEST(PackingTest, RowsAreAsTheyAre) {
  Shape shape;
  EXPECT_EQ(packed({3, 5}, {}, {}, shape), iota(15));
  EXPECT_EQ(shape, (Shape{3, 5}));
  EXPECT_EQ(packed({7}, {}, {}, shape), iota(7));
  EXPECT_EQ(packed({}, {}, {}, shape), iota(1));
}

TEST(PackingTest, PanelsPutElementsWhereTheFormatSays) {
  for (int64_t n : {1, 3, 4, 5, 9}) {
    for (int64_t panel : {1, 2, 4, 7}) {
      const int64_t k = 3;
      Shape shape;
      Values out = packed({n, k}, {}, {panel}, shape);
      EXPECT_EQ(shape, (Shape{(n + panel - 1) / panel, k, panel}));
      Values expected(out.size()); // padding is zero
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < k; ++j)
          expected[size_t((i / panel * k + j) * panel + i % panel)] =
              int32_t(i * k + j + 1);
      EXPECT_EQ(out, expected) << n << " in panels of " << panel;
    }
  }
}

TEST(PackingTest, DepthPutsNeighboursInKSideBySide) {
  for (int64_t n : {1, 5, 9}) {
    for (int64_t k : {1, 2, 3, 7, 8}) {
      const int64_t panel = 4;
      for (int64_t depth : {2, 3}) {
        Shape shape;
        Values out = packed({n, k}, {}, {panel, depth}, shape);
        int64_t groups = (k + depth - 1) / depth;
        EXPECT_EQ(shape,
                  (Shape{(n + panel - 1) / panel, groups, panel * depth}));
        Values expected(out.size()); // padding is zero
        for (int64_t i = 0; i < n; ++i)
          for (int64_t j = 0; j < k; ++j)
            expected[size_t(
                ((i / panel * groups + j / depth) * panel + i % panel) * depth +
                j % depth)] = int32_t(i * k + j + 1);
        EXPECT_EQ(out, expected) << n << " x " << k << ", depth " << depth;
      }
    }
  }
}

TEST(PackingTest, KeptSlicesComeFirst) {
  Shape shape;
  // Rows 0 and 2 of 3, columns 1 and 3..4 of 5.
  std::vector<KeptAxis> kept = {{1, {{1, 2}, {3, 5}}}, {0, {{0, 1}, {2, 3}}}};
  EXPECT_EQ(packed({3, 5}, kept, {}, shape), (Values{2, 4, 5, 12, 14, 15}));
  EXPECT_EQ(shape, (Shape{2, 3}));
  EXPECT_EQ(packed({3, 5}, kept, {4}, shape),
            (Values{2, 12, 0, 0, 4, 14, 0, 0, 5, 15, 0, 0}));
  EXPECT_EQ(shape, (Shape{1, 3, 4}));
  EXPECT_EQ(packed({3, 5}, kept, {4, 2}, shape),
            (Values{2, 4, 12, 14, 0, 0, 0, 0, 5, 0, 15, 0, 0, 0, 0, 0}));
  EXPECT_EQ(shape, (Shape{1, 2, 8}));
  // Three axes.
  EXPECT_EQ(packed({2, 3, 2}, {{1, {{2, 3}}}}, {}, shape),
            (Values{5, 6, 11, 12}));
  // Nothing kept.
  EXPECT_EQ(packed({3, 5}, {{0, {}}}, {}, shape), Values{});
  EXPECT_EQ(shape, (Shape{0, 5}));
}

TEST(PackingTest, RowRangesMakeUpTheWhole) {
  Shape shape = {11, 7};
  auto layout = PackedLayout::make(shape, {}, Packing{4});
  ASSERT_TRUE(layout);
  Values source = iota(77), whole(size_t(layout->packedElements())),
         parts(whole.size());
  layout->pack(source.data(), 4, whole.data());
  for (int64_t begin : {8, 0, 3})
    layout->packRows(source.data(), 4, parts.data(), begin,
                     begin == 8   ? 11
                     : begin == 0 ? 3
                                  : 8);
  EXPECT_EQ(parts, whole);
}

TEST(PackingTest, BadSlicesAreErrors) {
  Shape shape = {3, 5};
  const std::vector<std::vector<KeptAxis>> bad = {
      {{2, {{0, 1}}}},          // no such axis
      {{-1, {{0, 1}}}},         //
      {{0, {{0, 1}}}, {0, {}}}, // twice
      {{1, {{0, 6}}}},          // beyond
      {{1, {{2, 2}}}},          // empty
      {{1, {{3, 2}}}},          // reversed
      {{1, {{2, 4}, {3, 5}}}},  // overlapping
      {{1, {{3, 4}, {0, 1}}}},  // descending
      {{1, {{-1, 1}}}},
  };
  for (const auto &kept : bad)
    EXPECT_FALSE(PackedLayout::make(shape, kept, {}));
  EXPECT_FALSE(PackedLayout::make(shape, {}, Packing{-1}));
  EXPECT_FALSE(PackedLayout::make(Shape{3}, {}, Packing{2}));
  EXPECT_FALSE(PackedLayout::make(shape, {}, Packing{4, 0}));
  EXPECT_FALSE(PackedLayout::make(shape, {}, Packing{0, 2}));
  EXPECT_FALSE(
      PackedLayout::make(Shape{int64_t(1) << 40, int64_t(1) << 40}, {}, {}));
  // The panel's padding alone overflows.
  EXPECT_FALSE(
      packedShape(Shape{3, int64_t(1) << 40}, {}, Packing{int64_t(1) << 40}));
}

TEST(PackingTest, HugeEmptyTensorsAllocateNothing) {
  auto layout = PackedLayout::make(Shape{int64_t(1) << 50, 0}, {}, {});
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->rowCount(), 0);
}

// Values computed by an independent implementation of docs/bundle.md.
TEST(WeightGeneratorTest, EqualsTheFormatsDefinition) {
  EXPECT_EQ(splitmix64(0), 0xe220a8397b1dcdafu);
  EXPECT_EQ(splitmix64(1), 0x910a2dec89025cc1u);
  EXPECT_EQ(fnv1a64("a"), 0xaf63dc4c8601ec8cu);
  WeightGenerator generate(7, "layers.0.attn.q.weight", 0.5, 0.02);
  EXPECT_EQ(generate(0), 0x1.e5ccdp-2f);
  EXPECT_EQ(generate(1), 0x1.e034eap-2f);
  EXPECT_EQ(generate(5), 0x1.0136c8p-1f);
  EXPECT_EQ(generate(1000003), 0x1.088154p-1f);
}

// Vectors of any width, tails included, give the bits of one element at a time.
TEST(WeightGeneratorTest, FillsWithTheSameBits) {
  WeightGenerator generate(7, "w", 0.3, 0.7);
  for (int64_t begin : {int64_t(0), int64_t(5), int64_t(1) << 33})
    for (int64_t count : {0, 1, 3, 7, 8, 15, 33, 4099}) {
      std::vector<float> filled(size_t(count) + 1, -9);
      generate.fill(begin, count, filled.data());
      for (int64_t i = 0; i < count; ++i)
        ASSERT_EQ(filled[size_t(i)], generate(begin + i)) << begin + i;
      EXPECT_EQ(filled.back(), -9);
    }
}

TEST(WeightGeneratorTest, NarrowTypesAreRoundedElementsInPlace) {
  WeightGenerator generate(5, "w", -0.1, 0.02);
  Shape shape = {5, 2051};
  std::vector<KeptAxis> kept = {{1, {{0, 3}, {6, 1030}, {1033, 2051}}}};
  std::vector<float> dense;
  for (int64_t i = 0; i < 5 * 2051; ++i)
    dense.push_back(generate(i));
  for (DType dtype : {DType::BF16, DType::F16})
    for (Packing packing :
         {Packing{}, Packing{4}, Packing{4, 2}, Packing{3, 3}})
      for (const auto &slices : {std::vector<KeptAxis>{}, kept}) {
        auto layout = PackedLayout::make(shape, slices, packing);
        ASSERT_TRUE(layout);
        std::vector<uint16_t> narrow(dense.size()),
            expected(size_t(layout->packedElements())), found(expected.size());
        convertFromF32(dtype, dense.data(), narrow.data(),
                       int64_t(dense.size()));
        layout->forEachRun(0, 5, [&](const PackedLayout::Run &run) {
          for (int64_t i = 0; i < run.count; ++i)
            expected[size_t(run.place(i))] = narrow[size_t(run.source + i)];
        });
        generateRows(generate, *layout, dtype, found.data(), 0, 5);
        EXPECT_EQ(found, expected) << packing.panels << " " << packing.depth;
        std::fill(found.begin(), found.end(), uint16_t(0));
        layout->pack(narrow.data(), 2, found.data());
        EXPECT_EQ(found, expected) << packing.panels << " " << packing.depth;
      }
}

TEST(WeightGeneratorTest, SlicesAndPackingsHoldTheSameElements) {
  WeightGenerator generate(3, "w", 0, 1);
  Shape shape = {9, 7};
  std::vector<KeptAxis> kept = {{0, {{1, 4}, {6, 9}}}, {1, {{0, 2}, {5, 7}}}};
  std::vector<float> dense;
  for (int64_t i = 0; i < 63; ++i)
    dense.push_back(generate(i));
  for (Packing packing : {Packing{}, Packing{4}, Packing{4, 2}}) {
    auto layout = PackedLayout::make(shape, kept, packing);
    ASSERT_TRUE(layout);
    std::vector<float> expected(size_t(layout->packedElements())),
        found(expected.size());
    layout->pack(dense.data(), 4, expected.data());
    generateRows(generate, *layout, DType::F32, found.data(), 0, 2);
    generateRows(generate, *layout, DType::F32, found.data(), 2, 6);
    EXPECT_EQ(found, expected);
  }
}

TEST(WeightGeneratorTest, HasTheMeanAndDeviationThatItWasGiven) {
  WeightGenerator generate(11, "w", -2, 0.5);
  double sum = 0, squares = 0;
  constexpr int count = 20000;
  for (int64_t i = 0; i < count; ++i) {
    double value = generate(i);
    sum += value;
    squares += (value + 2) * (value + 2);
  }
  EXPECT_NEAR(sum / count, -2, 0.02);
  EXPECT_NEAR(std::sqrt(squares / count), 0.5, 0.01);
}

} // namespace
} // namespace coppice::rt
