// The literal lowering of projections and GEMMs, run and compared with loops
// over plain arrays. Integers, so equality is exact; what is not kept is NaN or
// Inf, so that a mask by multiplication would be seen.
#include "test/unit/support/Jit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

using namespace coppice::test;

static constexpr float kInf = std::numeric_limits<float>::infinity();
static constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

static std::vector<Array> run(const std::string &text,
                              const std::vector<Array> &arguments) {
  auto jit = Jit::compile(text, "prune-to-linalg");
  if (!jit) {
    ADD_FAILURE() << jit.error() << text;
    return {};
  }
  auto results = jit->call("f", arguments);
  if (!results) {
    ADD_FAILURE() << results.error();
    return {};
  }
  return std::move(*results);
}

TEST(PruneToLinalg, ProjectZeroesWhatIsNotKeptEvenIfItIsInfinite) {
  auto results =
      run(R"(
    func.func @f(%x: tensor<?x5xf32>) -> tensor<?x5xf32> {
      %p = prune.project "s" %x axis 1 keep #prune.set<[0:2, 3] of 5> in tensor<?x5xf32>
      return %p : tensor<?x5xf32>
    })",
          {Array({2, 5}, {1, 2, kInf, 4, kNaN, 6, 7, -kInf, 9, 10})});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].values,
            (std::vector<float>{1, 2, 0, 4, 0, 6, 7, 0, 9, 0}));
}

TEST(PruneToLinalg, ProjectOfNothingIsZero) {
  auto results = run(R"(
    func.func @f(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
      %p = prune.project "s" %x axis 0 keep #prune.set<none> in tensor<?x3xf32>
      return %p : tensor<?x3xf32>
    })",
                     {Array({2, 3}, {1, kNaN, 3, kInf, 5, 6})});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(results[0].values, std::vector<float>(6, 0.0f));
}

TEST(PruneToLinalg, ProjectKeepsWholeGranulesOfRows) {
  auto results = run(R"(
    func.func @f(%x: tensor<6x1xf32>) -> tensor<6x1xf32> {
      %p = prune.project "s" %x axis 0 keep #prune.set<[0, 2] of 3 x 2> in tensor<6x1xf32>
      return %p : tensor<6x1xf32>
    })",
                     {Array({6, 1}, {1, 2, 3, 4, 5, 6})});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].values, (std::vector<float>{1, 2, 0, 0, 5, 6}));
}

TEST(PruneToLinalg, RestrictGathersAndExtendScatters) {
  auto results = run(R"(
    func.func @f(%x: tensor<?x5xf32>) -> (tensor<?x3xf32>, tensor<?x5xf32>, tensor<0x5xf32>, tensor<?x5xf32>) {
      %c0 = arith.constant 0 : index
      %rows = tensor.dim %x, %c0 : tensor<?x5xf32>
      %s = prune.restrict %x axis 1 keep #prune.set<[1, 3:5] of 5> in tensor<?x5xf32> -> tensor<?x3xf32>
      %e = prune.extend %s axis 1 keep #prune.set<[0, 2, 4] of 5> in tensor<?x3xf32> -> tensor<?x5xf32>
      %n = prune.restrict %x axis 0 keep #prune.set<none> in tensor<?x5xf32> -> tensor<0x5xf32>
      %z = prune.extend %n axis 0 extent %rows keep #prune.set<none> in tensor<0x5xf32> -> tensor<?x5xf32>
      return %s, %e, %n, %z : tensor<?x3xf32>, tensor<?x5xf32>, tensor<0x5xf32>, tensor<?x5xf32>
    })",
                     {Array({2, 5}, {1, 2, kNaN, 4, 5, 6, 7, kNaN, 9, 10})});
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0].values, (std::vector<float>{2, 4, 5, 7, 9, 10}));
  EXPECT_EQ(results[1].values,
            (std::vector<float>{2, 0, 4, 0, 5, 7, 0, 9, 0, 10}));
  EXPECT_EQ(results[2].shape, (std::vector<int64_t>{0, 5}));
  EXPECT_EQ(results[3].shape, (std::vector<int64_t>{2, 5}));
  EXPECT_EQ(results[3].values, std::vector<float>(10, 0.0f));
}

TEST(PruneToLinalg, GemmMultipliesByTheTransposedWeight) {
  std::mt19937 random(1);
  for (std::string storage : {"f32", "bf16", "f16"}) {
    Array a = randomIntegers(random, {3, 11}, -5, 5);
    Array w = randomIntegers(random, {7, 11}, -5, 5);
    Array r = randomIntegers(random, {3, 7}, -5, 5);
    Array b = randomIntegers(random, {7}, -5, 5);
    Array product({3, 7}), fused({3, 7});
    for (int m = 0; m < 3; ++m)
      for (int n = 0; n < 7; ++n) {
        for (int k = 0; k < 11; ++k)
          product.at({m, n}) += a.at({m, k}) * w.at({n, k});
        fused.at({m, n}) = (product.at({m, n}) + b.at({n})) * r.at({m, n});
      }
    std::string weight = "tensor<7x11x" + storage + ">";
    auto results = run("func.func @f(%a: tensor<?x11xf32>, %w: " + weight +
                           R"(, %r: tensor<?x7xf32>, %b: tensor<7xf32>)
            -> (tensor<?x7xf32>, tensor<?x7xf32>) {
          %c = prune.gemm "c" %a, %w : tensor<?x11xf32>, )" +
                           weight + R"( -> tensor<?x7xf32>
          %d = prune.gemm "d" %a, %w value "v" epilogue(%acc: f32, %x: f32 = %r : tensor<?x7xf32>, %y: f32 = %b : tensor<7xf32>) {
            %0 = arith.addf %acc, %y : f32
            %1 = arith.mulf %0, %x : f32
            prune.yield %1 : f32
          } : tensor<?x11xf32>, )" +
                           weight + R"( -> tensor<?x7xf32>
          return %c, %d : tensor<?x7xf32>, tensor<?x7xf32>
        })",
                       {a, w, r, b});
    ASSERT_EQ(results.size(), 2u);
    EXPECT_EQ(results[0].values, product.values) << storage;
    EXPECT_EQ(results[1].values, fused.values) << storage;
  }
}

TEST(PruneToLinalg, GemmSumsInAscendingOrderOfK) {
  // Summed from the other end, the small term would survive.
  auto results =
      run(R"(
    func.func @f(%a: tensor<?x3xf32>, %w: tensor<1x3xf32>) -> tensor<?x1xf32> {
      %c = prune.gemm "c" %a, %w : tensor<?x3xf32>, tensor<1x3xf32> -> tensor<?x1xf32>
      return %c : tensor<?x1xf32>
    })",
          {Array({1, 3}, {1, 1e8f, -1e8f}), Array({1, 3}, {1, 1, 1})});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].values, (std::vector<float>{0}));
}

/// A random subset of [0, extent) as a list of `capacity` and its count; what
/// lies behind the count is out of range.
static std::vector<Array> randomSet(std::mt19937 &random, int64_t extent,
                                    int64_t capacity) {
  Array list({capacity}), count = Array::scalar(0);
  std::fill(list.values.begin(), list.values.end(), 99.0f);
  for (int64_t i = 0; i < extent; ++i)
    if (random() % 2)
      list.values[static_cast<size_t>(count.values[0]++)] =
          static_cast<float>(i);
  return {list, count};
}

static bool isIn(const std::vector<Array> &set, int64_t index) {
  for (int i = 0; i < set[1].values[0]; ++i)
    if (set[0].values[static_cast<size_t>(i)] == static_cast<float>(index))
      return true;
  return false;
}

TEST(PruneToLinalg, GemmComputesWhatIsInItsSetsAndKeepsTheRest) {
  const char *text = R"(
    func.func @f(%a: tensor<?x11xf32>, %w: tensor<7x11xf32>, %o: tensor<?x7xf32>, %b: tensor<7xf32>,
                 %r: tensor<?xi32>, %nr: tensor<i32>, %p: tensor<3xi32>, %np: tensor<i32>, %g: tensor<3xi32>, %ng: tensor<i32>)
        -> tensor<?x7xf32> {
      %c = prune.gemm "c" %a, %w rows SIDES(%r, %nr : tensor<?xi32>) panels of 3(%p, %np : tensor<3xi32>)
          groups of 4(%g, %ng : tensor<3xi32>) into %o value "v" epilogue(%acc: f32, %x: f32 = %o : tensor<?x7xf32>, %y: f32 = %b : tensor<7xf32>) {
        %0 = arith.addf %acc, %x : f32
        %1 = arith.mulf %0, %y : f32
        prune.yield %1 : f32
      } : tensor<?x11xf32>, tensor<7x11xf32> -> tensor<?x7xf32>
      return %c : tensor<?x7xf32>
    })";
  std::mt19937 random(3);
  for (std::string sides : {"gather", "scatter", "both"})
    for (int64_t dense : {5, 1, 0})
      for (int repeat = 0; repeat < 3; ++repeat) {
        // The dense side has `dense` rows, the other one the list's.
        int64_t capacity = 5;
        auto rows = randomSet(random, dense, capacity),
             panels = randomSet(random, 3, 3), groups = randomSet(random, 3, 3);
        int64_t inputs = sides == "scatter" ? capacity : dense,
                outputs = sides == "gather" ? capacity : dense;
        Array a = randomIntegers(random, {inputs, 11}, -5, 5);
        Array w = randomIntegers(random, {7, 11}, -5, 5);
        Array o = randomIntegers(random, {outputs, 7}, -5, 5);
        Array b = randomIntegers(random, {7}, -5, 5);
        for (int64_t k = 0; k < 11; ++k)
          if (!isIn(groups, k / 4))
            for (int64_t n = 0; n < 7; ++n)
              w.at({n, k}) = kNaN;
        Array expected = o;
        for (int64_t i = 0; i < static_cast<int64_t>(rows[1].values[0]); ++i) {
          auto row =
              static_cast<int64_t>(rows[0].values[static_cast<size_t>(i)]);
          int64_t from = sides == "scatter" ? i : row,
                  to = sides == "gather" ? i : row;
          for (int64_t n = 0; n < 7; ++n) {
            if (!isIn(panels, n / 3))
              continue;
            float sum = 0;
            for (int64_t k = 0; k < 11; ++k)
              if (isIn(groups, k / 4))
                sum += a.at({from, k}) * w.at({n, k});
            expected.at({to, n}) = (sum + o.at({to, n})) * b.at({n});
          }
        }
        std::string source = text;
        source.replace(source.find("SIDES"), 5, sides);
        auto results = run(source, {a, w, o, b, rows[0], rows[1], panels[0],
                                    panels[1], groups[0], groups[1]});
        ASSERT_EQ(results.size(), 1u);
        EXPECT_EQ(results[0].values, expected.values)
            << sides << ", " << dense << " rows";
      }
}

TEST(PruneToLinalg, GemmHasTheRowsOfEachPanelOrGroup) {
  const char *text = R"(
    func.func @f(%a: tensor<?x11xf32>, %w: tensor<7x11xf32>, %o: tensor<?x7xf32>, %r: tensor<3x?xi32>, %n: tensor<3xi32>)
        -> tensor<?x7xf32> {
      %c = prune.gemm "c" %a, %w rows both(%r, %n : tensor<3x?xi32>) WHAT
        : tensor<?x11xf32>, tensor<7x11xf32> -> tensor<?x7xf32>
      return %c : tensor<?x7xf32>
    })";
  std::mt19937 random(5);
  for (bool perPanel : {true, false})
    for (int64_t rows : {6, 1}) {
      Array a = randomIntegers(random, {rows, 11}, -5, 5),
            w = randomIntegers(random, {7, 11}, -5, 5),
            o = randomIntegers(random, {rows, 7}, -5, 5);
      std::vector<float> listed, counts;
      std::vector<std::vector<Array>> sets;
      for (int i = 0; i < 3; ++i) {
        sets.push_back(randomSet(random, rows, rows));
        const Array &list = sets.back()[0];
        listed.insert(listed.end(), list.values.begin(), list.values.end());
        counts.push_back(sets.back()[1].values[0]);
      }
      Array expected = o;
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t n = 0; n < 7; ++n) {
          if (perPanel && !isIn(sets[n / 3], row))
            continue;
          float sum = 0;
          for (int64_t k = 0; k < 11; ++k)
            if (perPanel || isIn(sets[k / 4], row))
              sum += a.at({row, k}) * w.at({n, k});
          expected.at({row, n}) = sum;
        }
      std::string source = text;
      source.replace(source.find("WHAT"), 4,
                     perPanel ? "per panel of 3 into %o" : "per group of 4");
      auto results =
          run(source, {a, w, o, Array({3, rows}, listed), Array({3}, counts)});
      ASSERT_EQ(results.size(), 1u);
      EXPECT_EQ(results[0].values, expected.values)
          << (perPanel ? "panels, " : "groups, ") << rows << " rows";
    }
}

// 0.6 of 25 rows are 15, whatever f32 makes of it; a NaN is among them, and of
// equal scores the first; the slots of a step are ranked apart.
TEST(PruneToLinalg, TopKeepsAShareOfEachSlot) {
  const int64_t rows = 27;
  std::vector<float> scores, forced(rows, -1), slots;
  for (int64_t row = 0; row < rows; ++row) {
    scores.push_back(row == 24   ? kNaN
                     : row >= 25 ? 1.0f
                                 : static_cast<float>(row / 2 * 7 % 11));
    scores.push_back(0);
    slots.push_back(row >= 25 ? 3 : 1);
  }
  auto results = run(R"(
    func.func @f(%s: tensor<?x2xf32>, %f: tensor<?x1xi8>, %slots: tensor<?xi32>) -> tensor<?x1xi8> {
      %m = prune.decide "r" %s forced %f column 0 top 0.6 of %slots : tensor<?xi32> expected 0.5
        : tensor<?x2xf32>, tensor<?x1xi8> -> tensor<?x1xi8>
      return %m : tensor<?x1xi8>
    })",
                     {Array({rows, 2}, scores), Array({rows, 1}, forced),
                      Array({rows}, slots)});
  ASSERT_EQ(results.size(), 1u);
  const std::vector<float> &mask = results[0].values;
  EXPECT_EQ(std::count(mask.begin(), mask.begin() + 25, 1.0f), 15);
  EXPECT_EQ(mask[24], 1);
  for (int64_t row = 0; row < 24; ++row)
    for (int64_t other = 0; other < 24; ++other) {
      auto i = static_cast<size_t>(row), j = static_cast<size_t>(other);
      if (mask[i] == 1 && mask[j] == 0) {
        EXPECT_TRUE(scores[2 * i] > scores[2 * j] ||
                    (scores[2 * i] == scores[2 * j] && i < j))
            << row << " is kept, " << other << " is not";
      }
    }
  // Of two rows, 1.2 rounded up.
  EXPECT_EQ(mask[25], 1);
  EXPECT_EQ(mask[26], 1);
}

TEST(PruneToLinalg, GemmOfNoGroupsIsZero) {
  auto results =
      run(R"(
    func.func @f(%a: tensor<?x3xf32>, %w: tensor<2x3xf32>, %g: tensor<2xi32>, %n: tensor<i32>) -> tensor<?x2xf32> {
      %c = prune.gemm "c" %a, %w groups of 2(%g, %n : tensor<2xi32>) : tensor<?x3xf32>, tensor<2x3xf32> -> tensor<?x2xf32>
      return %c : tensor<?x2xf32>
    })",
          {Array({1, 3}, {1, kNaN, 3}), Array({2, 3}, {1, 2, 3, 4, 5, kInf}),
           Array({2}, {0, 1}), Array::scalar(0)});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].values, (std::vector<float>{0, 0}));
}

//===----------------------------------------------------------------------===//
// Blocks of positions
//===----------------------------------------------------------------------===//

namespace {
struct SelectCase {
  int64_t size, recent, first, top, window; // window 0: none
  int64_t rank = 0;                         // of a scorer; 0: none
};

/// The blocks that a row at `position` chooses, given the score of each.
std::vector<float> chooseBlocks(const SelectCase &c, int64_t position,
                                const std::vector<float> &scores) {
  std::vector<float> list;
  int64_t from = 0, own = position / c.size;
  if (c.window)
    from = std::max<int64_t>(0, position - c.window + 1) / c.size;
  auto isOpen = [&](int64_t block) {
    return block <= own - c.recent && block >= from + c.first;
  };
  for (int64_t block = from; block <= own && position >= 0; ++block) {
    int64_t ahead = 0;
    for (int64_t other = from; other <= own; ++other) {
      float mine = scores[block], theirs = scores[other];
      bool isLarger =
          theirs > mine || (std::isnan(theirs) && !std::isnan(mine));
      bool isEqual = theirs == mine || (std::isnan(theirs) && std::isnan(mine));
      ahead += isOpen(other) && (isLarger || (isEqual && other < block));
    }
    if (!isOpen(block) || ahead < c.top)
      list.push_back(static_cast<float>(block));
  }
  list.resize(c.recent + c.first + c.top, -1);
  return list;
}

/// The score of a block by a scorer's weights U and V.
float scoreOfPooled(const SelectCase &c, int64_t head, int64_t block,
                    int64_t dim, const std::function<float(int64_t)> &query,
                    const std::function<float(int64_t, int64_t)> &key,
                    const Array &u, const Array &v) {
  float score = 0;
  for (int64_t i = head * c.rank; i < (head + 1) * c.rank; ++i) {
    float e = 0, p = 0;
    for (int64_t column = 0; column < u.shape[1]; ++column)
      e += u.at({i, column}) * query(column);
    for (int64_t d = 0; d < dim; ++d) {
      float sum = 0, most = -INFINITY, least = INFINITY;
      for (int64_t j = block * c.size; j < (block + 1) * c.size; ++j) {
        sum += key(j, d);
        most = std::max(most, key(j, d));
        least = std::min(least, key(j, d));
      }
      p += v.at({i, d}) * (sum / static_cast<float>(c.size)) +
           v.at({i, dim + d}) * most + v.at({i, 2 * dim + d}) * least;
    }
    score += e * p;
  }
  return score;
}
} // namespace

TEST(PruneToLinalg, BlocksAreChosenByPositionAndByScore) {
  std::mt19937 random(3);
  constexpr int64_t context = 23, heads = 2, group = 2, dim = 3;
  Array slots({9}, {1, 1, 1, 0, 0, 2, 1, 2, 0}),
      positions({9}, {0, 1, 2, 19, 20, 17, 21, -1, 22});
  for (const SelectCase &c :
       {SelectCase{2, 1, 0, 0, 0}, SelectCase{3, 2, 1, 0, 7},
        SelectCase{2, 1, 1, 3, 0}, SelectCase{3, 1, 0, 2, 0},
        SelectCase{2, 2, 1, 2, 15}, SelectCase{16, 1, 1, 1, 0},
        SelectCase{2, 1, 1, 3, 0, 4}, SelectCase{4, 1, 0, 2, 0, 1}}) {
    int64_t perHead = c.recent + c.first + c.top;
    Array q = randomIntegers(random, {9, heads * group * dim}, -1, 1),
          k = randomIntegers(random, {3, context, heads * dim}, -1, 1);
    Array u = randomIntegers(random, {heads * c.rank, group * dim}, -1, 1),
          v = randomIntegers(random, {heads * c.rank, 3 * dim}, -1, 1);
    k.at({0, 7, 1}) = kNaN;
    std::vector<float> expected;
    int64_t leader = 0;
    auto blockOf = [&](int64_t row) {
      auto p = static_cast<int64_t>(positions.at({row}));
      return p < 0 ? -1 : p / c.size;
    };
    for (int64_t row = 0; row < 9; ++row) {
      if (row && (slots.at({row}) != slots.at({row - 1}) ||
                  blockOf(row) != blockOf(row - 1)))
        leader = row;
      for (int64_t head = 0; head < heads; ++head) {
        std::vector<float> scores(context);
        for (int64_t j = 0; j < context; ++j)
          for (int64_t d = 0; d < dim; ++d)
            for (int64_t h = head * group; h < (head + 1) * group; ++h)
              scores[j / c.size] += q.at({leader, h * dim + d}) *
                                    k.at({static_cast<int64_t>(slots.at({row})),
                                          j, head * dim + d});
        for (int64_t b = 0; c.rank && b < context / c.size; ++b)
          scores[b] = scoreOfPooled(
              c, head, b, dim,
              [&](int64_t column) {
                return q.at({leader, head * group * dim + column});
              },
              [&](int64_t j, int64_t d) {
                return k.at(
                    {static_cast<int64_t>(slots.at({row})), j, head * dim + d});
              },
              u, v);
        for (float block : chooseBlocks(
                 c, static_cast<int64_t>(positions.at({leader})), scores))
          expected.push_back(block);
      }
    }
    std::string lists = "tensor<?x" + std::to_string(heads * perHead) + "xi32>",
                scored, window;
    if (c.top)
      scored = " by %q, %k heads of 3 : tensor<?x12xf32>, tensor<?x?x6xf32>";
    if (c.window)
      window = " window " + std::to_string(c.window);
    std::string queryType =
                    "tensor<" + std::to_string(heads * c.rank) + "x6xf32>",
                keyType =
                    "tensor<" + std::to_string(heads * c.rank) + "x9xf32>",
                weights;
    std::vector<Array> inputs{q, k, slots, positions};
    if (c.rank) {
      scored += " weights %u, %v : " + queryType + ", " + keyType;
      weights = ", %u: " + queryType + ", %v: " + keyType;
      inputs.insert(inputs.end(), {u, v});
    }
    auto results =
        run("func.func @f(%q: tensor<?x12xf32>, %k: tensor<?x?x6xf32>, %s: "
            "tensor<?xi32>, %p: tensor<?xi32>" +
                weights + ") -> " + lists +
                " {\n  %b = prune.select_blocks \"b\" of " +
                std::to_string(c.size) + " recent " + std::to_string(c.recent) +
                " first " + std::to_string(c.first) + " top " +
                std::to_string(c.top) + window + scored +
                " at %s, %p : tensor<?xi32> -> " + lists +
                "\n  return %b : " + lists + "\n}",
            inputs);
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(results[0].values, expected) << c.size << " " << c.top;
  }
}
