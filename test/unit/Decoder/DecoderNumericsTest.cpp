// Each decoder op's decomposition, run alone, against an independent and naive
// reference in double precision: random odd sizes, ragged batches, grouped and
// ungrouped heads, f32 and bf16 storage. Caches hold NaN wherever nothing may
// be read, so that a leak of one element cannot be missed.
#include "test/unit/support/Jit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <iomanip>
#include <limits>
#include <sstream>

using namespace coppice::test;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// A ragged step: for each row the slot of its sequence and its position. Every
/// sequence has some past, and prefills or decodes.
struct Step {
  Array slots, positions;
  int64_t rows() const { return slots.shape[0]; }
};

Step randomStep(std::mt19937 &random, int slots, int context) {
  Step step;
  for (int slot = slots - 1; slot >= 0; --slot) {
    int past = std::uniform_int_distribution<int>(0, context - 1)(random);
    int count = std::uniform_int_distribution<int>(
        0, std::min(4, context - past))(random);
    if (slot == 0 && step.slots.values.empty())
      count = 1; // a step has rows
    for (int i = 0; i < count; ++i) {
      step.slots.values.push_back(static_cast<float>(slot));
      step.positions.values.push_back(static_cast<float>(past + i));
    }
  }
  auto rows = static_cast<int64_t>(step.slots.values.size());
  step.slots.shape = step.positions.shape = {rows};
  return step;
}

Array rounded(Array array, const std::string &storage) {
  for (float &value : array.values)
    if (storage == "bf16")
      value = toBF16(value);
    else if (storage == "f16")
      value = roundTo(value, 5, 10);
  return array;
}

/// Compiles `text` with decoder-to-linalg and calls @f.
std::vector<Array> run(const std::string &text,
                       const std::vector<Array> &arguments) {
  auto jit = Jit::compile(text, "decoder-to-linalg");
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

} // namespace

TEST(DecoderNumerics, LookupGathersRowsAndWidensThem) {
  std::mt19937 random(1);
  for (std::string storage : {"f32", "bf16", "f16"}) {
    std::ostringstream text;
    text << "func.func @f(%i: tensor<?xi32>, %t: tensor<13x7x" << storage
         << ">) -> tensor<?x7xf32> {\n"
            "  %r = decoder.lookup \"s\" %i in %t : tensor<?xi32>, "
            "tensor<13x7x"
         << storage << "> -> tensor<?x7xf32>\n return %r : tensor<?x7xf32>\n}";
    Array table = rounded(randomArray(random, {13, 7}), storage);
    Array indices({5}, {12, 0, 3, 3, 7}), expected({5, 7});
    for (int r = 0; r < 5; ++r)
      for (int c = 0; c < 7; ++c)
        expected.at({r, c}) =
            table.at({static_cast<int64_t>(indices.at({r})), c});
    auto results = run(text.str(), {indices, table});
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(results[0].shape, expected.shape);
    EXPECT_EQ(results[0].values, expected.values) << storage;
  }
}

TEST(DecoderNumerics, RMSNormOfHeadsNormsEachByItself) {
  std::mt19937 random(12);
  constexpr int rows = 3, heads = 5, headDim = 7;
  Array x = randomArray(random, {rows, heads * headDim}, 0.1f);
  Array gain = randomArray(random, {headDim});
  Array expected({rows, heads * headDim});
  for (int r = 0; r < rows; ++r)
    for (int h = 0; h < heads; ++h) {
      double squares = 0;
      for (int d = 0; d < headDim; ++d)
        squares += std::pow(x.at({r, h * headDim + d}), 2);
      for (int d = 0; d < headDim; ++d)
        expected.at({r, h * headDim + d}) = static_cast<float>(
            x.at({r, h * headDim + d}) *
            std::pow(squares / headDim + 1e-3, -0.5) * gain.at({d}));
    }
  auto results = run(R"(
    func.func @f(%x: tensor<?x35xf32>, %g: tensor<7xf32>) -> tensor<?x35xf32> {
      %r = decoder.rms_norm "s" %x, %g {epsilon = 1.0e-3 : f32, divisor = 7 : i64, head_dim = 7 : i64} : tensor<?x35xf32>, tensor<7xf32>
      return %r : tensor<?x35xf32>
    })",
                     {x, gain});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_LT(worstRowError(results[0], expected), 1e-6);
}

TEST(DecoderNumerics, RMSNormDividesByTheWidthOfTheOriginal) {
  std::mt19937 random(2);
  struct {
    int rows, width, divisor;
    const char *storage;
  } cases[] = {{1, 1, 1, "f32"},
               {3, 37, 37, "bf16"},
               {5, 31, 64, "f32"},
               {2, 129, 172, "f16"}};
  for (auto [rows, width, divisor, storage] : cases) {
    std::ostringstream text, type, gainType;
    type << "tensor<?x" << width << "xf32>";
    gainType << "tensor<" << width << "x" << storage << ">";
    text << "func.func @f(%x: " << type.str() << ", %g: " << gainType.str()
         << ") -> " << type.str() << " {\n  %r = decoder.rms_norm \"s\" %x, %g "
         << "{epsilon = 1.0e-3 : f32, divisor = " << divisor
         << " : i64} : " << type.str() << ", " << gainType.str()
         << "\n  return %r : " << type.str() << "\n}";
    Array x = randomArray(random, {rows, width}, 0.1f);
    Array gain = rounded(randomArray(random, {width}), storage);
    Array expected({rows, width});
    for (int r = 0; r < rows; ++r) {
      double squares = 0;
      for (int c = 0; c < width; ++c)
        squares += std::pow(x.at({r, c}), 2);
      for (int c = 0; c < width; ++c)
        expected.at({r, c}) = static_cast<float>(
            x.at({r, c}) * std::pow(squares / divisor + 1e-3, -0.5) *
            gain.at({c}));
    }
    auto results = run(text.str(), {x, gain});
    ASSERT_EQ(results.size(), 1u);
    EXPECT_LT(worstRowError(results[0], expected), 1e-6) << width;
  }
}

TEST(DecoderNumerics, RotaryTurnsPairsOfColumnsByTheAngle) {
  std::mt19937 random(3);
  // Heads, columns of a head, frequencies: whole heads and parts of them turn.
  struct {
    int heads, dim, frequencies;
  } cases[] = {{1, 2, 1}, {3, 8, 4}, {5, 7, 2}, {2, 9, 1}};
  for (auto [heads, dim, frequencies] : cases) {
    int width = heads * dim;
    std::vector<float> frequency;
    std::ostringstream list;
    for (int i = 0; i < frequencies; ++i) {
      frequency.push_back(std::pow(10000.0f, -2.0f * i / dim));
      list << (i ? ", " : "") << std::scientific << std::setprecision(9)
           << frequency.back();
    }
    std::ostringstream text, rows, angles;
    rows << "tensor<?x" << width << "xf32>";
    angles << "tensor<?x" << 2 * frequencies << "xf32>";
    text << "func.func @f(%x: " << rows.str() << ", %p: tensor<?xi32>) -> "
         << rows.str()
         << " {\n  %a = decoder.rotary_table \"a\" %p {frequencies"
         << " = array<f32: " << list.str() << ">} : tensor<?xi32> -> "
         << angles.str()
         << "\n  %r = decoder.rotary \"s\" %x, %a {head_dim = " << dim
         << " : i64} : " << rows.str() << ", " << angles.str()
         << "\n  return %r : " << rows.str() << "\n}";
    Array positions({5}, {0, 1, 2, 77, 511});
    Array x = randomArray(random, {5, width}), expected = x;
    for (int r = 0; r < 5; ++r)
      for (int h = 0; h < heads; ++h)
        for (int i = 0; i < frequencies; ++i) {
          int64_t first = h * dim + i, second = first + frequencies;
          auto turned =
              std::complex<double>(x.at({r, first}), x.at({r, second})) *
              std::polar(1.0, static_cast<double>(positions.at({r})) *
                                  static_cast<double>(frequency[i]));
          expected.at({r, first}) = static_cast<float>(turned.real());
          expected.at({r, second}) = static_cast<float>(turned.imag());
        }
    auto results = run(text.str(), {x, positions});
    ASSERT_EQ(results.size(), 1u);
    // An angle of 511 is an f32: it is known to 511 * 2^-24.
    EXPECT_LT(worstRowError(results[0], expected), 4e-5) << heads << " " << dim;
  }
}

TEST(DecoderNumerics, AppendWritesItsRowsAndNothingElse) {
  std::mt19937 random(4);
  for (std::string storage : {"f32", "bf16", "f16"}) {
    std::string cacheType = "tensor<?x?x5x" + storage + ">";
    std::string text = "func.func @f(%x: tensor<?x5xf32>, %c: " + cacheType +
                       ", %s: tensor<?xi32>, %p: tensor<?xi32>) -> " +
                       cacheType +
                       " {\n  %r = decoder.append \"a\" %x into %c at %s, %p : "
                       "tensor<?x5xf32> into " +
                       cacheType + "\n  return %r : " + cacheType + "\n}";
    Step step = randomStep(random, 3, 7);
    Array rows = randomArray(random, {step.rows(), 5});
    rows.values[0] = 1.00390625f; // halfway between two numbers of bf16
    Array cache = rounded(randomArray(random, {3, 7, 5}), storage);
    Array expected = cache, narrow = rounded(rows, storage);
    for (int64_t r = 0; r < step.rows(); ++r)
      for (int64_t c = 0; c < 5; ++c)
        expected.at({static_cast<int64_t>(step.slots.at({r})),
                     static_cast<int64_t>(step.positions.at({r})), c}) =
            narrow.at({r, c});
    auto results = run(text, {rows, cache, step.slots, step.positions});
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(results[0].shape, expected.shape);
    EXPECT_EQ(results[0].values, expected.values) << storage;
  }
}

namespace {

struct AttentionCase {
  int slots, context, kvHeads, group, dim;
  const char *storage;
  int window;                    // 0: none
  int blockSize = 0, blocks = 0; // of a list; 0: all blocks
  int dropSize = 0;              // of a threshold, of kThreshold; 0: none
};
constexpr double kThreshold = 0.7;

std::string attentionText(const AttentionCase &c, double scale) {
  std::ostringstream rows, cache, text;
  rows << "tensor<?x" << c.kvHeads * c.group * c.dim << "xf32>";
  cache << "tensor<?x?x" << c.kvHeads * c.dim << "x" << c.storage << ">";
  text << "func.func @f(%q: " << rows.str() << ", %k: " << cache.str()
       << ", %v: " << cache.str() << ", %s: tensor<?xi32>, %p: tensor<?xi32>";
  std::ostringstream lists;
  lists << "tensor<?x" << c.kvHeads * c.blocks << "xi32>";
  if (c.blocks)
    text << ", %b: " << lists.str();
  text << ") -> " << rows.str()
       << " {\n  %r = decoder.attention \"a\" %q, %k, %v at %s, %p";
  if (c.blocks)
    text << " blocks of " << c.blockSize << "(%b : " << lists.str() << ")";
  text << " {head_dim = " << c.dim << " : i64, scale = " << std::scientific
       << std::setprecision(9) << scale << " : f32";
  if (c.window)
    text << ", window = " << c.window << " : i64";
  if (c.dropSize)
    text << ", drop_below = " << kThreshold
         << " : f32, drop_size = " << c.dropSize << " : i64";
  text << "} : " << rows.str() << ", " << cache.str()
       << "\n  return %r : " << rows.str() << "\n}";
  return text.str();
}

/// Does a KV head of a row attend to position j?
bool attends(const AttentionCase &c, const Step &step, const Array *lists,
             int64_t row, int64_t kvHead, int64_t j) {
  int64_t distance = static_cast<int64_t>(step.positions.at({row})) - j;
  if (distance < 0 || (c.window && distance >= c.window))
    return false;
  bool isListed = !lists;
  for (int i = 0; i < c.blocks; ++i)
    isListed |= lists->at({row, kvHead * c.blocks + i}) ==
                static_cast<float>(j / std::max(c.blockSize, 1));
  return isListed;
}

/// Makes the weights of blocks 0 that are too small beside the largest up to
/// there, but for the row's own.
void dropBlocks(int64_t size, int64_t position,
                const std::vector<int64_t> &attended,
                std::vector<double> &weight) {
  std::vector<double> before = weight;
  double largest = 0;
  for (int64_t block = 0; block < position / size; ++block) {
    double best = 0;
    for (size_t i = 0; i < attended.size(); ++i)
      if (attended[i] / size == block)
        best = std::max(best, before[i]);
    largest = std::max(largest, best);
    for (size_t i = 0; i < attended.size(); ++i)
      if (attended[i] / size == block && best < kThreshold * largest)
        weight[i] = 0;
  }
}

/// For each row: the list of what it attends to, then a softmax over that list.
Array attentionReference(const AttentionCase &c, double scale, const Array &q,
                         const Array &k, const Array &v, const Step &step,
                         const Array *lists = nullptr) {
  Array result(q.shape);
  for (int64_t r = 0; r < step.rows(); ++r) {
    auto slot = static_cast<int64_t>(step.slots.at({r}));
    for (int h = 0; h < c.kvHeads * c.group; ++h) {
      std::vector<int64_t> attended;
      for (int64_t j = 0; j < c.context; ++j)
        if (attends(c, step, lists, r, h / c.group, j))
          attended.push_back(j);
      int64_t query = int64_t(h) * c.dim, kv = int64_t(h / c.group) * c.dim;
      std::vector<double> weight;
      double total = 0;
      for (int64_t j : attended) {
        double dot = 0;
        for (int d = 0; d < c.dim; ++d)
          dot += double(q.at({r, query + d})) * k.at({slot, j, kv + d});
        weight.push_back(std::exp(dot * scale));
      }
      if (c.dropSize)
        dropBlocks(c.dropSize, static_cast<int64_t>(step.positions.at({r})),
                   attended, weight);
      for (double each : weight)
        total += each;
      for (int d = 0; d < c.dim; ++d) {
        double sum = 0;
        for (size_t i = 0; i < attended.size(); ++i)
          sum += weight[i] / total * v.at({slot, attended[i], kv + d});
        result.at({r, query + d}) = static_cast<float>(sum);
      }
    }
  }
  return result;
}

/// Makes NaN of what no row of the step attends to.
void poison(const AttentionCase &c, const Step &step, Array &cache,
            const Array *lists = nullptr) {
  for (int64_t s = 0; s < cache.shape[0]; ++s)
    for (int64_t j = 0; j < cache.shape[1]; ++j)
      for (int64_t w = 0; w < cache.shape[2]; ++w) {
        bool read = false;
        for (int64_t r = 0; r < step.rows(); ++r)
          read |= static_cast<int64_t>(step.slots.at({r})) == s &&
                  attends(c, step, lists, r, w / c.dim, j);
        if (!read)
          cache.at({s, j, w}) = kNaN;
      }
}

/// Runs the attention, with NaN in all that no row attends to.
void expectAttention(const AttentionCase &c, double scale, const Array &q,
                     Array k, Array v, const Step &step,
                     const Array &expected) {
  poison(c, step, k);
  poison(c, step, v);
  auto results =
      run(attentionText(c, scale), {q, k, v, step.slots, step.positions});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_LT(worstRowError(results[0], expected), 1e-5)
      << attentionText(c, scale);
}

} // namespace

TEST(DecoderNumerics, AttentionIsACausalSoftmaxPerHead) {
  std::mt19937 random(5);
  AttentionCase cases[] = {
      {1, 1, 1, 1, 1, "f32", 0},   {3, 9, 2, 3, 5, "f32", 0},
      {3, 9, 3, 1, 7, "bf16", 0},  {4, 7, 1, 4, 3, "f16", 0},
      {2, 11, 2, 2, 4, "bf16", 3}, {2, 11, 1, 2, 3, "f32", 1}};
  for (const AttentionCase &c : cases) {
    Step step = randomStep(random, c.slots, c.context);
    double scale = 1.0 / std::sqrt(c.dim);
    Array q = randomArray(random, {step.rows(), c.kvHeads * c.group * c.dim});
    std::vector<int64_t> shape = {c.slots, c.context, c.kvHeads * c.dim};
    Array k = rounded(randomArray(random, shape), c.storage);
    Array v = rounded(randomArray(random, shape), c.storage);
    Array expected = attentionReference(c, scale, q, k, v, step);
    expectAttention(c, scale, q, k, v, step, expected);
  }
}

TEST(DecoderNumerics, AttentionLooksAtTheBlocksOfItsListsOnly) {
  std::mt19937 random(8);
  AttentionCase cases[] = {{3, 19, 2, 3, 5, "f32", 0, 4, 5},
                           {2, 11, 3, 1, 4, "bf16", 6, 3, 4},
                           {4, 7, 1, 2, 3, "f16", 0, 16, 1}};
  for (const AttentionCase &c : cases) {
    Step step = randomStep(random, c.slots, c.context);
    double scale = 1.0 / std::sqrt(c.dim);
    Array q = randomArray(random, {step.rows(), c.kvHeads * c.group * c.dim});
    std::vector<int64_t> shape = {c.slots, c.context, c.kvHeads * c.dim};
    Array k = rounded(randomArray(random, shape), c.storage);
    Array v = rounded(randomArray(random, shape), c.storage);
    // Every list is another one; some are empty, some name blocks that come
    // later.
    Array lists({step.rows(), c.kvHeads * c.blocks});
    for (int64_t r = 0; r < step.rows(); ++r)
      for (int64_t h = 0; h < c.kvHeads; ++h) {
        int64_t next = 0;
        for (int block = 0; block < c.blocks; ++block)
          if (random() % 2)
            lists.at({r, h * c.blocks + next++}) = static_cast<float>(block);
        while (next < c.blocks)
          lists.at({r, h * c.blocks + next++}) = -1;
      }
    Array expected = attentionReference(c, scale, q, k, v, step, &lists);
    poison(c, step, k, &lists);
    poison(c, step, v, &lists);
    for (float &value : expected.values) // of a row that attends to nothing
      value = std::isnan(value) ? 0 : value;
    auto results = run(attentionText(c, scale),
                       {q, k, v, step.slots, step.positions, lists});
    ASSERT_EQ(results.size(), 1u);
    for (size_t i = 0; i < expected.values.size(); ++i)
      ASSERT_NEAR(results[0].values[i], expected.values[i], 1e-5)
          << attentionText(c, scale);
  }
}

TEST(DecoderNumerics, BlocksThatWeighLittleAreDropped) {
  std::mt19937 random(11);
  AttentionCase cases[] = {{2, 150, 2, 2, 3, "f32", 0, 0, 0, 32},
                           {2, 150, 1, 2, 4, "bf16", 70, 0, 0, 32},
                           {2, 201, 2, 1, 3, "f32", 0, 0, 0, 64}};
  for (const AttentionCase &c : cases) {
    Step step;
    step.slots = Array({5}, {0, 0, 1, 0, 1});
    step.positions = Array({5}, {5, 149, 96, 63, 128});
    double scale = 8.0 / std::sqrt(c.dim); // blocks that differ
    Array q = randomArray(random, {step.rows(), c.kvHeads * c.group * c.dim});
    std::vector<int64_t> shape = {c.slots, c.context, c.kvHeads * c.dim};
    Array k = rounded(randomArray(random, shape), c.storage);
    Array v = rounded(randomArray(random, shape), c.storage);
    Array expected = attentionReference(c, scale, q, k, v, step);
    AttentionCase dense = c;
    dense.dropSize = 0;
    EXPECT_GT(worstRowError(attentionReference(dense, scale, q, k, v, step),
                            expected),
              1e-2);
    expectAttention(c, scale, q, k, v, step, expected);
  }
}

TEST(DecoderNumerics, AttentionSurvivesScoresThatOverflowExp) {
  AttentionCase c = {1, 3, 1, 1, 2, "f32", 0};
  Array q({1, 2}, {1000, 0}), slots({1}, {0}), positions({1}, {1});
  Array k({1, 3, 2}, {1, 0, 0.5, 0, kNaN, kNaN});
  Array v({1, 3, 2}, {3, 4, -1, -2, kNaN, kNaN});
  auto results = run(attentionText(c, 1.0), {q, k, v, slots, positions});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].values, (std::vector<float>{3, 4}));
}

TEST(DecoderNumerics, ARowThatAttendsToNothingIsZero) {
  AttentionCase c = {1, 3, 1, 2, 1, "f32", 0};
  Array q({2, 2}, {1, 2, 3, 4}), slots({2}, {0, 0}), positions({2}, {-1, 0});
  Array k({1, 3, 1}, {1, kNaN, kNaN}), v({1, 3, 1}, {5, kNaN, kNaN});
  auto results = run(attentionText(c, 1.0), {q, k, v, slots, positions});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].values, (std::vector<float>{0, 0, 5, 5}));
}

TEST(DecoderNumerics, RowsDoNotDependOnTheOtherRowsOfTheStep) {
  std::mt19937 random(6);
  AttentionCase c = {3, 9, 2, 2, 3, "f32", 0};
  std::string text = attentionText(c, 0.5);
  Step step = randomStep(random, 3, 9);
  Array q = randomArray(random, {step.rows(), 12});
  Array k = randomArray(random, {3, 9, 6}), v = randomArray(random, {3, 9, 6});
  auto all = run(text, {q, k, v, step.slots, step.positions});
  ASSERT_EQ(all.size(), 1u);
  for (int64_t r = 0; r < step.rows(); ++r) {
    Array row({1, 12},
              {q.values.begin() + r * 12, q.values.begin() + (r + 1) * 12});
    auto alone = run(text, {row, k, v, Array({1}, {step.slots.at({r})}),
                            Array({1}, {step.positions.at({r})})});
    ASSERT_EQ(alone.size(), 1u);
    for (int64_t i = 0; i < 12; ++i)
      EXPECT_EQ(alone[0].at({0, i}), all[0].at({r, i}));
  }
}
