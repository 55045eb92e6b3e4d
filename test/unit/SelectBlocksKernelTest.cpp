//===- SelectBlocksKernelTest.cpp - chosen blocks against plain C++ -------===//
//
// Kernels of `prune.select_blocks`, on CPUs and on a GPU. All numbers are small
// integers: scores are exact, many are equal, and lists must be the same.
//
//===----------------------------------------------------------------------===//

#include "support/KernelData.h"
#include "support/Kernels.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace mlir;
using llvm::formatv;

namespace coppice {
namespace {

using namespace test;

/// The rows of a step.
struct Step {
  std::vector<int32_t> slots, positions;

  /// `count` rows of a slot from a position on.
  void addRun(int32_t slot, int32_t position, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
      slots.push_back(slot);
      positions.push_back(position + i);
    }
  }
};

struct SelectCase {
  int64_t headDim, queryHeads, kvHeads;
  const char *type;
  int64_t size, recent, first, top, window; // window 0: none
  int64_t rank = 0;                         // of a scorer; 0: none
  int64_t perHead() const { return recent + first + top; }
};

std::string caseName(const SelectCase &shape) {
  return formatv("select_{0}_{1}_{2}_{3}_{4}_{5}_{6}_{7}_{8}", shape.headDim,
                 shape.queryHeads, shape.type, shape.size, shape.recent,
                 shape.first, shape.top, shape.window, shape.rank)
      .str();
}

std::string selectKernel(const SelectCase &shape) {
  int64_t width = shape.headDim * shape.queryHeads,
          cacheWidth = shape.headDim * shape.kvHeads,
          lists = shape.kvHeads * shape.perHead();
  std::string cache =
      formatv("tensor<?x?x{0}x{1}>", cacheWidth, shape.type).str();
  std::string scored, arguments;
  if (shape.top) {
    arguments = formatv("%q: {0} {1}, %k: {2} {{exec.dims = [\"slots\", "
                        "\"context\", {3}]},",
                        rowsType(width), rowsDims(width), cache, cacheWidth)
                    .str();
    scored = formatv("by %q, %k heads of {0} : {1}, {2}", shape.headDim,
                     rowsType(width), cache)
                 .str();
  }
  if (shape.rank) {
    std::string u = formatv("tensor<{0}x{1}x{2}>", shape.kvHeads * shape.rank,
                            width / shape.kvHeads, shape.type),
                v = formatv("tensor<{0}x{1}x{2}>", shape.kvHeads * shape.rank,
                            3 * shape.headDim, shape.type);
    arguments += formatv("%u: {0}, %v: {1},", u, v).str();
    scored += formatv(" weights %u, %v : {0}, {1}", u, v).str();
  }
  std::string window =
      shape.window ? formatv("window {0}", shape.window).str() : "";
  return formatv(R"(
    func.func @{0}({1} %slots: tensor<?xi32> {{exec.dims = ["rows"]}, %positions: tensor<?xi32> {{exec.dims = ["rows"]},
                   %out: tensor<?x{2}xi32> {3}) -> tensor<?x{2}xi32> {{
      %0 = prune.select_blocks "" of {4} recent {5} first {6} top {7} {8} {9} at %slots, %positions
        : tensor<?xi32> -> tensor<?x{2}xi32>
      return %0 : tensor<?x{2}xi32>
    })",
                 caseName(shape), arguments, lists, rowsDims(lists), shape.size,
                 shape.recent, shape.first, shape.top, window, scored)
      .str();
}

/// The blocks that `row` and `head` choose, by the op's description; `scoreOf`
/// gives the score of a block.
std::vector<int32_t> chooseBlocks(const SelectCase &shape, int64_t position,
                                  llvm::function_ref<float(int64_t)> scoreOf) {
  std::vector<int32_t> list;
  if (position >= 0) {
    int64_t from = 0, own = position / shape.size;
    if (shape.window)
      from = std::max<int64_t>(0, position - shape.window + 1) / shape.size;
    std::vector<std::pair<float, int32_t>> open;
    for (int64_t block = from; block <= own; ++block) {
      if (block > own - shape.recent || block < from + shape.first)
        list.push_back(static_cast<int32_t>(block));
      else
        open.emplace_back(shape.top ? scoreOf(block) : 0,
                          static_cast<int32_t>(block));
    }
    // NaN first, then the largest, of equal ones the first block.
    llvm::sort(open, [](auto &a, auto &b) {
      if (std::isnan(a.first) != std::isnan(b.first))
        return std::isnan(a.first);
      if (!std::isnan(a.first) && a.first != b.first)
        return a.first > b.first;
      return a.second < b.second;
    });
    open.resize(std::min<size_t>(open.size(), shape.top));
    for (auto [score, block] : open)
      list.push_back(block);
    llvm::sort(list);
  }
  list.resize(shape.perHead(), -1);
  return list;
}

/// The score of a block by a scorer's weights; `query` is the row's, `keys` are
/// the slot's.
float scoreOfPooled(const SelectCase &shape, int64_t head, int64_t block,
                    const float *query, const float *keys,
                    const std::vector<float> &u, const std::vector<float> &v) {
  int64_t width = shape.headDim * shape.queryHeads / shape.kvHeads,
          cacheWidth = shape.headDim * shape.kvHeads;
  std::vector<float> pooled;
  for (int kind = 0; kind < 3; ++kind)
    for (int64_t d = 0; d < shape.headDim; ++d) {
      float sum = 0, most = -INFINITY, least = INFINITY;
      for (int64_t j = block * shape.size; j < (block + 1) * shape.size; ++j) {
        float key = keys[j * cacheWidth + head * shape.headDim + d];
        sum += key;
        most = std::max(most, key);
        least = std::min(least, key);
      }
      pooled.push_back(kind == 0   ? sum / static_cast<float>(shape.size)
                       : kind == 1 ? most
                                   : least);
    }
  float score = 0;
  for (int64_t i = 0; i < shape.rank; ++i) {
    int64_t line = head * shape.rank + i;
    float e = 0, p = 0;
    for (int64_t c = 0; c < width; ++c)
      e += u[line * width + c] * query[head * width + c];
    for (size_t c = 0; c < pooled.size(); ++c)
      p += v[line * static_cast<int64_t>(pooled.size()) + c] * pooled[c];
    score += e * p;
  }
  return score;
}

/// All numbers are small integers: scores are exact, and many are equal.
void checkSelection(Kernels &kernels, StringRef isa, const SelectCase &shape,
                    const Step &step, int64_t context = 170) {
  std::string name = caseName(shape);
  SCOPED_TRACE(name);
  Symbols symbols;
  symbols.rows = step.slots.size();
  symbols.slots = 3;
  symbols.context = context;
  int64_t width = shape.headDim * shape.queryHeads,
          cacheWidth = shape.headDim * shape.kvHeads,
          group = shape.queryHeads / shape.kvHeads;
  auto at = [&](int64_t slot, int64_t position) {
    return (slot * symbols.context + position) * cacheWidth;
  };
  std::uniform_int_distribution<int> integer(-1, 1);
  std::vector<float> q(symbols.rows * width), k(at(symbols.slots, 0)),
      u(shape.rank * width), v(shape.rank * 3 * cacheWidth);
  for (std::vector<float> *values : {&q, &k, &u, &v})
    for (float &value : *values)
      value = static_cast<float>(integer(engine()));
  // Scores that are NaN, and keys that no row may look at.
  k[at(1, 37 * context / 170)] = NAN;
  for (int64_t slot = 0; slot < symbols.slots; ++slot) {
    int64_t end = 0;
    for (int64_t row = 0; row < symbols.rows; ++row)
      if (step.slots[row] == slot)
        end = std::max<int64_t>(end, step.positions[row] + 1);
    end = end / shape.size * shape.size;
    std::fill(k.begin() + at(slot, end), k.begin() + at(slot + 1, 0), 1000);
  }
  std::vector<char> keys = store(k, shape.type), storedU = store(u, shape.type),
                    storedV = store(v, shape.type);

  auto blockOf = [&](int64_t row) {
    int64_t position = step.positions[row];
    return position < 0 ? -1 : position / shape.size;
  };
  std::vector<int32_t> expected;
  int64_t leader = 0;
  for (int64_t row = 0; row < symbols.rows; ++row) {
    if (row && (step.slots[row] != step.slots[row - 1] ||
                blockOf(row) != blockOf(row - 1)))
      leader = row;
    for (int64_t head = 0; head < shape.kvHeads; ++head) {
      auto scoreOf = [&](int64_t block) {
        if (shape.rank)
          return scoreOfPooled(shape, head, block, &q[leader * width],
                               &k[at(step.slots[row], 0)], u, v);
        float score = 0;
        for (int64_t j = block * shape.size; j < (block + 1) * shape.size; ++j)
          for (int64_t d = 0; d < shape.headDim; ++d)
            for (int64_t i = head * group; i < (head + 1) * group; ++i)
              score += q[leader * width + i * shape.headDim + d] *
                       k[at(step.slots[row], j) + head * shape.headDim + d];
        return score;
      };
      llvm::append_range(expected,
                         chooseBlocks(shape, step.positions[leader], scoreOf));
    }
  }

  EXPECT_EQ(kernels.strategy(name), "select_blocks");
  for (int64_t chunk : isa == kGPU ? std::vector<int64_t>{0, 3}
                                   : std::vector<int64_t>{0, 1, 5}) {
    std::vector<int32_t> lists(expected.size(), 12345);
    std::vector<const void *> args;
    if (shape.top)
      args = {q.data(), keys.data()};
    if (shape.rank)
      args.insert(args.end(), {storedU.data(), storedV.data()});
    args.insert(args.end(),
                {step.slots.data(), step.positions.data(), lists.data()});
    kernels.run(name, args, symbols, chunk);
    ASSERT_EQ(lists, expected) << chunk;
  }
}

TEST(SelectBlocksKernel, BlocksAreChosenByPositionAndByScore) {
  const SelectCase cases[] = {{8, 6, 2, "f32", 16, 1, 0, 0, 0},
                              {8, 6, 2, "f32", 16, 2, 1, 0, 50},
                              {8, 6, 2, "f32", 16, 2, 1, 3, 0},
                              {40, 4, 4, "bf16", 16, 1, 0, 2, 0},
                              {13, 3, 1, "f16", 32, 1, 1, 1, 0},
                              {64, 2, 1, "bf16", 16, 3, 2, 4, 90},
                              {8, 2, 2, "f32", 16, 1, 0, 30, 0},
                              {8, 6, 2, "f32", 16, 1, 1, 3, 0, 5},
                              {13, 3, 1, "f16", 32, 1, 0, 2, 0, 1},
                              {64, 2, 2, "bf16", 16, 2, 1, 4, 90, 3}};
  Step few{{2, 0, 0, 1, 2}, {130, 0, 1, 63, -1}};
  // Neighbours in one block, but of other slots.
  Step decode{{0, 1, 2, 2}, {90, 91, 92, 93}};
  // A prompt, one that goes on, and decoding, with two rows in other places.
  auto makeRagged = [](int32_t rows) {
    Step step;
    step.addRun(1, 0, rows);
    step.addRun(0, 169, 1);
    step.addRun(2, 143 - rows, rows);
    std::swap(step.slots[20], step.slots[rows + 10]);
    std::swap(step.positions[20], step.positions[rows + 10]);
    return step;
  };
  std::string source;
  for (const SelectCase &shape : cases)
    source += selectKernel(shape);
  std::vector<std::string> targets = instructionSets();
  targets.push_back(kGPU);
  for (const std::string &isa : targets) {
    SCOPED_TRACE(isa);
    auto kernels = Kernels::compile(source, false, isa);
    ASSERT_TRUE(kernels);
    Step ragged = makeRagged(isa == kGPU ? 33 : 80); // the emulator is slow
    for (const SelectCase &shape : cases)
      for (const Step *step : {&few, &ragged, &decode})
        checkSelection(*kernels, isa, shape, *step);
  }
}

// More blocks than a GPU reads the scores of between two choices: the best so
// far compete with those that follow, and of so many equal ones the first stay.
// For few rows, scoring is cut up in another way than for many.
TEST(SelectBlocksKernel, ManyBlocks) {
  const SelectCase cases[] = {{4, 1, 1, "f32", 1, 1, 1, 1, 0},
                              {4, 1, 1, "f32", 1, 2, 0, 150, 0},
                              {4, 1, 1, "f32", 1, 1, 0, 1100, 0}};
  Step few{{0, 2, 1}, {1399, 40, 1200}};
  Step many = few;
  many.slots.resize(70, 2);
  many.positions.resize(70, -1);
  std::string source;
  for (const SelectCase &shape : cases)
    source += selectKernel(shape);
  for (const char *isa : {"host", kGPU}) {
    SCOPED_TRACE(isa);
    auto kernels = Kernels::compile(source, false, isa);
    ASSERT_TRUE(kernels);
    for (const SelectCase &shape : cases)
      for (const Step *step : {&few, &many})
        checkSelection(*kernels, isa, shape, *step, 1400);
  }
}

} // namespace
} // namespace coppice
