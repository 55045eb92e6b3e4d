//===- AttentionKernelTest.cpp - compiled attention against plain C++ -----===//
//
// Kernels of one `decoder.attention`, compiled for CPUs and for a GPU (in the
// emulator), against the op's definition in double. With a scale of log(2),
// weights of small integers are powers of two, which are exact in every type.
//
// What a row does not attend to is NaN.
//
//===----------------------------------------------------------------------===//

#include "support/KernelData.h"
#include "support/Kernels.h"
#include "support/RaggedStep.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"
#include <cmath>
#include <map>
#include <optional>
#include <set>

using llvm::formatv;
using llvm::StringRef;

namespace coppice {
namespace {

using namespace test;

constexpr float kPowersOfTwo = 0.69314718f;

struct AttentionCase {
  int64_t headDim, queryHeads, kvHeads;
  const char *type; // of the caches
  int64_t window;   // 0: none
  /// Compiling takes most of the time: what differs between these is tested.
  std::vector<std::string> isas;
  /// Positions of a block, and how many blocks a list has room for; 0: a row
  /// attends to all.
  int64_t blockSize = 0, blocks = 0;
  float scale = kPowersOfTwo;
  /// Positions that are dropped together where they weigh less than 2^-2.5, to
  /// which no power of two is close; 0: no threshold.
  int64_t dropSize = 0;
  const char *query = "f32", *result = "f32";
  /// How many lists of query rows there are: none; one, for all heads (0); one
  /// for each of so many groups of heads.
  std::optional<int64_t> rowLists = std::nullopt;

  int64_t width() const { return headDim * queryHeads; }
  int64_t cacheWidth() const { return headDim * kvHeads; }
};
constexpr double kLeastExponent = -2.5;

std::string caseName(const AttentionCase &shape) {
  std::string lists =
      shape.rowLists ? "_rows" + std::to_string(*shape.rowLists) : "";
  return formatv("attention_{0}_{1}_{2}_{3}_{4}_{5}_{6}_{7}_{8}_{9}{10}",
                 shape.headDim, shape.queryHeads, shape.kvHeads, shape.type,
                 shape.window, shape.blockSize, shape.blocks, shape.dropSize,
                 shape.query, shape.result, lists)
      .str();
}

std::string attentionKernel(const AttentionCase &shape) {
  std::string attributes = formatv("head_dim = {0} : i64, scale = {1:f8} : f32",
                                   shape.headDim, shape.scale)
                               .str();
  if (shape.window)
    attributes += formatv(", window = {0} : i64", shape.window).str();
  if (shape.dropSize)
    attributes += formatv(", drop_below = {0:f8} : f32, drop_size = {1} : i64",
                          std::exp2(kLeastExponent), shape.dropSize)
                      .str();
  auto rows = [](int64_t width, StringRef type) {
    return formatv("tensor<?x{0}x{1}>", width, type).str();
  };
  auto dims = [](int64_t width) {
    return formatv("{{exec.dims = [\"rows\", {0}]}", width).str();
  };
  std::string query = rows(shape.width(), shape.query),
              result = rows(shape.width(), shape.result),
              cache = "tensor<?x?x" + std::to_string(shape.cacheWidth()) + "x" +
                      shape.type + ">";
  std::string arguments, sets;
  if (shape.rowLists) {
    std::string lists = std::to_string(*shape.rowLists);
    std::string list = *shape.rowLists ? "tensor<" + lists + "x?xi32>"
                                       : std::string("tensor<?xi32>");
    arguments +=
        formatv("%rows: {0} {{exec.dims = [{1}\"rows\"]}, %count: {2},", list,
                *shape.rowLists ? lists + ", " : "",
                *shape.rowLists ? "tensor<" + lists + "xi32>"
                                : std::string("tensor<i32>"))
            .str();
    sets += formatv(" rows(%rows, %count : {0})", list).str();
  }
  if (shape.blockSize) {
    int64_t width = shape.kvHeads * shape.blocks;
    arguments +=
        formatv("%blocks: {0} {1},", rows(width, "i32"), dims(width)).str();
    sets += formatv(" blocks of {0}(%blocks : {1})", shape.blockSize,
                    rows(width, "i32"))
                .str();
  }
  return formatv(
             R"(
    func.func @{0}(%q: {1} {2}, %k: {3} {{exec.dims = ["slots", "context", {4}]},
                   %v: {3} {{exec.dims = ["slots", "context", {4}]},
                   %slots: tensor<?xi32> {{exec.dims = ["rows"]}, %positions: tensor<?xi32> {{exec.dims = ["rows"]},
                   {5} %out: {6} {2}) -> {6} {{
      %0 = decoder.attention "" %q, %k, %v at %slots, %positions{7} {{{8}} : {1}, {3} {9}
      return %0 : {6}
    })",
             caseName(shape), query, dims(shape.width()), cache,
             shape.cacheWidth(), arguments, result, sets, attributes,
             result == query ? "" : "-> " + result)
      .str();
}

/// Which rows a step has, and whether all numbers are small integers.
struct AttentionStep : RaggedStep {
  bool exact = false;
  /// Where a value is infinite, if it is; only later rows of the slot see it.
  std::optional<std::pair<int32_t, int32_t>> infinite = std::nullopt;
  /// Has no row another of its slot before it, further than the first block?
  bool areRunsShort = false;
};

/// Lists of blocks, [rows, KV heads, blocks]: none, the row's own block alone,
/// or some of those up to and behind its own.
std::vector<int32_t> drawBlocks(const AttentionCase &shape,
                                const AttentionStep &step) {
  std::vector<int32_t> lists;
  for (int32_t position : step.positions)
    for (int64_t head = 0; head < shape.kvHeads; ++head) {
      auto own = static_cast<int32_t>(std::max(position, 0) / shape.blockSize);
      std::vector<int32_t> list;
      int64_t kind = pick(0, 4);
      for (int32_t block = 0; block <= own + 2 && kind > 1; ++block)
        if (pick(0, 2) == 0)
          list.push_back(block);
      if (kind == 1)
        list.push_back(own);
      list.resize(shape.blocks, -1);
      lists.insert(lists.end(), list.begin(), list.end());
    }
  return lists;
}

/// Takes the blocks that weigh too little for a row at `position` out of the
/// positions `seen`, ascending, and their scores.
void dropBlocks(const AttentionCase &shape, int64_t position,
                std::vector<int64_t> &seen, std::vector<double> &scores) {
  std::map<int64_t, double> best;
  for (auto [j, score] : llvm::zip_equal(seen, scores)) {
    auto [found, isNew] = best.try_emplace(j / shape.dropSize, score);
    found->second = std::max(found->second, score);
  }
  std::set<int64_t> dropped;
  double largest = -INFINITY;
  for (auto [block, score] : best) {
    largest = std::max(largest, score);
    if (block != position / shape.dropSize &&
        score < largest + kLeastExponent * std::log(2))
      dropped.insert(block);
  }
  std::vector<int64_t> left;
  std::vector<double> ofLeft;
  for (auto [j, score] : llvm::zip_equal(seen, scores))
    if (!dropped.count(j / shape.dropSize)) {
      left.push_back(j);
      ofLeft.push_back(score);
    }
  seen = left;
  scores = ofLeft;
}

/// A step's numbers, and what its rows are to give.
struct Problem {
  Problem(const AttentionCase &shape, const AttentionStep &step);

  const AttentionCase &shape;
  const AttentionStep &step;
  Symbols symbols;
  std::vector<char> query, keys, values;
  std::vector<int32_t> blocks;
  std::vector<int32_t> rows, counts; // of the lists of rows
  std::vector<float> expected;       // NaN where nobody asks

private:
  int64_t at(int64_t slot, int64_t position) const {
    return (slot * symbols.context + position) * shape.cacheWidth();
  }
  bool attends(int64_t row, int64_t kvHead, int64_t position) const;
  void drawRows();
  void spoilUnseen();
  void attend(int64_t row, int64_t head);

  std::vector<float> q, k, v;
  std::vector<bool> isKept; // [slots, context, KV heads]
};

Problem::Problem(const AttentionCase &shape, const AttentionStep &step)
    : shape(shape), step(step) {
  symbols.rows = step.slots.size();
  symbols.slots = 3;
  symbols.context = 170;
  auto draw = [&](int64_t count, int low, int high) {
    std::vector<float> values = normals(count);
    if (step.exact)
      for (float &value : values)
        value = static_cast<float>(pick(low, high));
    return values;
  };
  int64_t entries = symbols.slots * symbols.context * shape.cacheWidth();
  q = draw(symbols.rows * shape.width(), -1, 1);
  k = draw(entries, -1, 1);
  v = draw(entries, -4, 4);
  if (!step.exact)
    for (float &value : q)
      value *= 0.2f;
  if (shape.blockSize)
    blocks = drawBlocks(shape, step);
  spoilUnseen();
  if (step.infinite) // in every KV head
    for (int64_t head = 0; head < shape.kvHeads; ++head)
      v[at(step.infinite->first, step.infinite->second) +
        head * shape.headDim] = INFINITY;
  query = store(q, shape.query);
  keys = store(k, shape.type);
  values = store(v, shape.type);

  expected.assign(q.size(), NAN);
  isKept.resize(entries / shape.headDim);
  if (shape.rowLists)
    drawRows();
  int64_t lists = shape.rowLists.value_or(0);
  for (int64_t head = 0; head < shape.queryHeads; ++head) {
    int64_t list = lists ? head / (shape.queryHeads / lists) : 0;
    if (shape.rowLists)
      for (int64_t i = 0; i < counts[list]; ++i)
        attend(rows[list * symbols.rows + i], head);
    else
      for (int64_t row = 0; row < symbols.rows; ++row)
        attend(row, head);
  }
  // Values of what is dropped are not read, where no row beside it keeps it.
  if (shape.dropSize && step.areRunsShort)
    for (int64_t i = 0; i < entries; ++i)
      if (!isKept[i / shape.headDim])
        v[i] = NAN;
  values = store(v, shape.type);
}

/// No row, some, or all; what follows in a list is not to be used.
void Problem::drawRows() {
  int64_t lists = std::max<int64_t>(*shape.rowLists, 1);
  rows.assign(lists * symbols.rows, -1000000);
  for (int64_t list = 0; list < lists; ++list) {
    int64_t kind = pick(0, 3), count = 0;
    for (int64_t row = 0; row < symbols.rows; ++row)
      if (kind == 1 || (kind > 1 && pick(0, 1)))
        rows[list * symbols.rows + count++] = static_cast<int32_t>(row);
    counts.push_back(static_cast<int32_t>(count));
  }
}

bool Problem::attends(int64_t row, int64_t kvHead, int64_t position) const {
  if (position > step.positions[row] ||
      (shape.window && position <= step.positions[row] - shape.window))
    return false;
  if (!shape.blockSize)
    return true;
  auto list = blocks.begin() + (row * shape.kvHeads + kvHead) * shape.blocks;
  return std::find(list, list + shape.blocks, position / shape.blockSize) !=
         list + shape.blocks;
}

/// What no row attends to must not matter, whatever it is.
void Problem::spoilUnseen() {
  for (int64_t slot = 0; slot < symbols.slots; ++slot)
    for (int64_t j = 0; j < symbols.context; ++j)
      for (int64_t head = 0; head < shape.kvHeads; ++head) {
        bool isSeen = false, mayBeSeen = false;
        for (int64_t row = 0; row < symbols.rows; ++row)
          if (step.slots[row] == slot) {
            isSeen |= attends(row, head, j);
            mayBeSeen |= j <= step.positions[row];
          }
        int64_t first = at(slot, j) + head * shape.headDim;
        for (int64_t i = first; i < first + shape.headDim; ++i)
          if (shape.blockSize ? !isSeen : !mayBeSeen)
            k[i] = v[i] = NAN;
      }
}

void Problem::attend(int64_t row, int64_t head) {
  int64_t kvHead = head / (shape.queryHeads / shape.kvHeads);
  int64_t slot = step.slots[row];
  float *result = &expected[row * shape.width() + head * shape.headDim];
  std::fill_n(result, shape.headDim, 0.0f);
  std::vector<int64_t> seen;
  for (int64_t j = 0; j <= step.positions[row]; ++j)
    if (attends(row, kvHead, j))
      seen.push_back(j);
  std::vector<double> weights;
  double largest = -INFINITY, total = 0;
  for (int64_t j : seen) {
    double dot = 0;
    for (int64_t d = 0; d < shape.headDim; ++d)
      dot += q[row * shape.width() + head * shape.headDim + d] *
             k[at(slot, j) + kvHead * shape.headDim + d];
    weights.push_back(shape.scale * dot);
    largest = std::max(largest, weights.back());
  }
  if (shape.dropSize)
    dropBlocks(shape, step.positions[row], seen, weights);
  for (int64_t j : seen)
    isKept[at(slot, j) / shape.headDim + kvHead] = true;
  for (double &weight : weights)
    total += weight = std::exp(weight - largest);
  for (int64_t d = 0; d < shape.headDim && !seen.empty(); ++d) {
    double sum = 0;
    for (auto [j, weight] : llvm::zip_equal(seen, weights))
      sum += weight / total * v[at(slot, j) + kvHead * shape.headDim + d];
    result[d] = static_cast<float>(sum);
  }
}

/// ||a - b|| / ||b||, at most, of the rows of an exact or of an inexact step.
double toleranceOf(const AttentionCase &shape, const AttentionStep &step,
                   StringRef isa) {
  bool isNarrow = StringRef(shape.type) != "f32";
  double ofResult = StringRef(shape.result) == "bf16"  ? 4e-3
                    : StringRef(shape.result) == "f16" ? 5e-4
                                                       : 0;
  if (step.exact && shape.scale == kPowersOfTwo)
    return ofResult + 4e-6;
  // Products of narrow numbers round queries and weights: 2^-9 each.
  bool rounds = (isa == "avx512_bf16" && StringRef(shape.type) == "bf16") ||
                (isa == kGPU && isNarrow);
  return ofResult + (rounds ? 1e-2 : 1e-5);
}

void checkAttention(Kernels &kernels, const std::string &isa,
                    const AttentionCase &shape, const AttentionStep &step) {
  std::string name = caseName(shape);
  SCOPED_TRACE(formatv("{0} {1}, {2} rows, exact {3}", name, isa,
                       step.slots.size(), step.exact)
                   .str());
  Problem problem(shape, step);
  std::vector<float> first;
  // On a GPU many rows take time: their blocks do several items each.
  bool isLong = isa == kGPU && step.slots.size() > 64;
  for (int64_t chunk : isLong        ? std::vector{5}
                       : isa == kGPU ? std::vector{0, 3}
                                     : std::vector{0, 1, 4}) {
    std::vector<float> unset(problem.expected.size(), NAN);
    Guarded out(store(unset, shape.result));
    std::vector<const void *> args{problem.query.data(), problem.keys.data(),
                                   problem.values.data(), step.slots.data(),
                                   step.positions.data()};
    if (shape.rowLists) {
      args.push_back(problem.rows.data());
      args.push_back(problem.counts.data());
    }
    if (shape.blockSize)
      args.push_back(problem.blocks.data());
    args.push_back(out.data());
    kernels.run(name, args, problem.symbols, chunk);
    std::vector<float> result = unstore(out.contents(), shape.result),
                       wanted = problem.expected;
    for (size_t i = 0; i < result.size(); ++i)
      if ((std::isinf(wanted[i]) && result[i] == wanted[i]) ||
          (std::isnan(wanted[i]) && std::isnan(result[i])))
        result[i] = wanted[i] = 0;
    ASSERT_LT(rowError(result, wanted, shape.width()),
              toleranceOf(shape, step, isa))
        << chunk;
    ASSERT_TRUE(out.intact());
    if (first.empty())
      first = result;
    ASSERT_EQ(result, first);
  }
}

/// Steps of few rows, and of many; of fewer in the emulator, but so many that
/// their positions are not cut into chunks. With `isFinite` no
/// value is infinite.
std::vector<AttentionStep> steps(bool isEmulated, bool isFinite) {
  AttentionStep single{{{2, 0, 0, 1, 2}, {130, 0, 1, 63, -1}}};
  single.areRunsShort = true;
  AttentionStep decode{{{2, 0, 1}, {165, 97, 160}}, /*exact=*/true};
  decode.areRunsShort = true;
  // A prompt, one that goes on, and decoding, in an order that is not theirs.
  AttentionStep ragged;
  ragged.addRun(1, 0, isEmulated ? 43 : 90);
  ragged.addRun(0, 169, 1);
  ragged.addRun(2, 77, isEmulated ? 25 : 67);
  ragged.swapRows(20, ragged.slots.size() - 18);
  AttentionStep exact = ragged;
  exact.exact = true;
  AttentionStep infinite = exact;
  infinite.infinite = std::pair(1, isEmulated ? 24 : 57);
  if (isEmulated) // the exact ones suffice, but for what must be finite
    return {single, decode, isFinite ? exact : infinite};
  if (isFinite)
    return {single, decode, ragged, exact};
  return {single, decode, ragged, exact, infinite};
}

void checkCase(Kernels &kernels, const std::string &isa,
               const AttentionCase &shape) {
  bool isByMatrices = isa == kGPU && StringRef(shape.type) != "f32" &&
                      shape.headDim % 8 == 0 && !shape.dropSize;
  EXPECT_EQ(kernels.strategy(caseName(shape)),
            isByMatrices ? "attention_mma" : "attention");
  // What is dropped must be finite.
  for (const AttentionStep &step : steps(isa == kGPU, shape.dropSize != 0))
    checkAttention(kernels, isa, shape, step);
}

const AttentionCase kCases[] = {
    {8, 8, 4, "f32", 0, {"avx512", kGPU}},
    {64, 6, 2, "bf16", 0, {"avx2", "avx512_bf16", kGPU}},
    {40, 2, 2, "f16", 5, {"avx512_bf16", kGPU}},
    {13, 3, 1, "bf16", 33, {"avx2", "avx512_bf16", kGPU}},
    {256, 4, 1, "f32", 70, {"avx2"}},
    {256, 2, 1, "f32", 70, {kGPU}},
    {136, 7, 1, "bf16", 150, {"avx512_bf16"}},
    {136, 3, 1, "bf16", 150, {kGPU}},
    // Rows of one tile with other lists, lists without a block, several runs.
    {8, 4, 2, "f32", 0, {"avx2", "avx512", kGPU}, 16, 14},
    {64, 6, 2, "bf16", 0, {"avx2", "avx512_bf16", kGPU}, 48, 6},
    {13, 3, 3, "bf16", 33, {"avx512_bf16", kGPU}, 16, 14},
    {136, 7, 1, "f32", 70, {"avx2"}, 64, 5},
    // Rows that see nothing of the first keys of their run, at scales by which
    // the lowest score is not exact.
    {80, 2, 2, "f32", 5, {"avx2", "avx512", kGPU}, 0, 0, 0.11180340f},
    {64, 2, 2, "f32", 0, {"avx2", "avx512", kGPU}, 32, 6, 0.125f},
    // A threshold: alone, with a window that begins within a block, with lists,
    // with blocks longer than those of other kernels.
    {8, 4, 2, "f32", 0, {"avx2", "avx512", kGPU}, 0, 0, kPowersOfTwo, 32},
    {64, 6, 2, "bf16", 0, {"avx2", "avx512_bf16"}, 0, 0, kPowersOfTwo, 64},
    {64, 3, 1, "bf16", 0, {kGPU}, 0, 0, kPowersOfTwo, 64},
    {13, 3, 3, "f16", 75, {"avx512", kGPU}, 0, 0, kPowersOfTwo, 32},
    {24, 4, 2, "f32", 0, {"avx2", kGPU}, 32, 6, kPowersOfTwo, 32},
    {136, 2, 1, "f32", 0, {"avx512"}, 0, 0, kPowersOfTwo, 128},
    {20, 2, 1, "f32", 0, {kGPU}, 0, 0, kPowersOfTwo, 128},
    // The widest heads of matrices, and queries of the caches' type.
    {128, 4, 1, "bf16", 0, {kGPU}, 0, 0, kPowersOfTwo, 0, "bf16", "bf16"},
    {256, 2, 1, "f16", 30, {kGPU}},
    // More heads share a KV head than a warp of products has lines.
    {16, 20, 1, "bf16", 0, {kGPU}},
    // A scale below 0.
    {20, 4, 2, "f32", 0, {"avx2", kGPU}, 0, 0, -0.25f},
    // Narrow queries and results; lists of rows: one, one for each KV head, one
    // for two of them, one for half of the query heads of one.
    {32,
     2,
     1,
     "bf16",
     0,
     {"avx2", kGPU},
     0,
     0,
     kPowersOfTwo,
     0,
     "bf16",
     "bf16"},
    {24,
     2,
     1,
     "f16",
     9,
     {"avx2", kGPU},
     0,
     0,
     kPowersOfTwo,
     0,
     "f16",
     "f32",
     0},
    {20,
     6,
     2,
     "bf16",
     0,
     {"avx2", kGPU},
     0,
     0,
     kPowersOfTwo,
     0,
     "f32",
     "f32",
     2},
    {8,
     4,
     4,
     "f32",
     0,
     {"avx2", kGPU},
     16,
     14,
     kPowersOfTwo,
     0,
     "f32",
     "f16",
     2},
    {16,
     8,
     2,
     "bf16",
     0,
     {"avx2", kGPU},
     0,
     0,
     kPowersOfTwo,
     0,
     "bf16",
     "f32",
     4},
};

TEST(AttentionKernel, MatchesItsDefinitionOnCPUs) {
  // Scores beside a threshold may fall on either side: the same in every run.
  engine().seed(20240607);
  for (const std::string &isa : instructionSets()) {
    std::vector<AttentionCase> cases;
    std::string source;
    for (const AttentionCase &shape : kCases)
      if (llvm::is_contained(shape.isas, isa)) {
        cases.push_back(shape);
        source += attentionKernel(shape);
      }
    auto kernels = Kernels::compile(source, false, isa);
    ASSERT_TRUE(kernels);
    for (const AttentionCase &shape : cases)
      checkCase(*kernels, isa, shape);
  }
}

TEST(AttentionKernel, MatchesItsDefinitionOnAGPU) {
  engine().seed(20240607);
  for (const AttentionCase &shape : kCases) {
    if (!llvm::is_contained(shape.isas, kGPU))
      continue;
    // By themselves: the emulator decodes a whole module for each launch.
    auto kernels = Kernels::compile(attentionKernel(shape), false, kGPU);
    ASSERT_TRUE(kernels);
    checkCase(*kernels, kGPU, shape);
  }
}

} // namespace
} // namespace coppice
