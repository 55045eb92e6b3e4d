//===- CodegenCPUTest.cpp - compiled kernels against plain C++ ------------===//
//
// Each test writes kernels as MLIR, plans and compiles them as `compile` does,
// loads the shared object and calls it through the kernel ABI. On small
// integers float arithmetic is exact, so that results must be equal to the bit.
//
//===----------------------------------------------------------------------===//

#include "coppice/Target/CPUTarget.h"
#include "support/Kernels.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"
#include <cmath>
#include <map>
#include <random>
#include <set>

using namespace mlir;
using llvm::formatv;

namespace coppice {
using test::Kernels;
using test::Symbols;

namespace {

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

std::mt19937 &random() {
  static std::mt19937 engine(20240607);
  return engine;
}

/// Integers in [-3, 3]: exact in every float type, and so are sums of products.
std::vector<float> integers(size_t count) {
  std::uniform_int_distribution<int> distribution(-3, 3);
  std::vector<float> values(count);
  for (float &value : values)
    value = static_cast<float>(distribution(random()));
  return values;
}

std::vector<float> normals(size_t count) {
  std::normal_distribution<float> distribution;
  std::vector<float> values(count);
  for (float &value : values)
    value = distribution(random());
  return values;
}

/// The bytes of `values` stored as `type`; they are rounded to it on the way.
std::vector<char> store(std::vector<float> &values, StringRef type) {
  std::vector<char> bytes;
  for (float &value : values) {
    llvm::APFloat number(value);
    bool lossy;
    if (type != "f32")
      number.convert(type == "f16" ? llvm::APFloat::IEEEhalf()
                                   : llvm::APFloat::BFloat(),
                     llvm::APFloat::rmNearestTiesToEven, &lossy);
    uint64_t bits = number.bitcastToAPInt().getZExtValue();
    const char *first = reinterpret_cast<const char *>(&bits);
    bytes.insert(bytes.end(), first, first + (type == "f32" ? 4 : 2));
    number.convert(llvm::APFloat::IEEEsingle(),
                   llvm::APFloat::rmNearestTiesToEven, &lossy);
    value = number.convertToFloat();
  }
  return bytes;
}

/// [N, K] to [ceil(N/P), ceil(K/D), P, D], padded with zeros, as docs/bundle.md
/// says.
std::vector<float> pack(const std::vector<float> &weight, int64_t n, int64_t k,
                        int64_t panel, int64_t depth = 1) {
  if (panel == 0)
    return weight;
  int64_t groups = llvm::divideCeil(k, depth);
  std::vector<float> packed(llvm::alignTo(n, panel) * groups * depth, 0.0f);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < k; ++column)
      packed[((row / panel * groups + column / depth) * panel + row % panel) *
                 depth +
             column % depth] = weight[row * k + column];
  return packed;
}

/// Around a buffer, so that a stray write shows.
constexpr size_t kGuard = 64;
constexpr float kCanary = 12345.0f;

struct Guarded {
  explicit Guarded(const std::vector<float> &contents)
      : storage(contents.size() + 2 * kGuard, kCanary), size(contents.size()) {
    std::copy(contents.begin(), contents.end(), storage.begin() + kGuard);
  }
  float *data() { return storage.data() + kGuard; }
  std::vector<float> contents() {
    return {storage.begin() + kGuard, storage.begin() + kGuard + size};
  }
  bool intact() {
    auto isCanary = [](float value) { return value == kCanary; };
    return std::all_of(storage.begin(), storage.begin() + kGuard, isCanary) &&
           std::all_of(storage.end() - kGuard, storage.end(), isCanary);
  }
  std::vector<float> storage;
  size_t size;
};

/// The largest ||a - b|| / ||b|| of a row.
double rowError(const std::vector<float> &a, const std::vector<float> &b,
                int64_t width) {
  double worst = 0;
  for (size_t row = 0; row * width < b.size(); ++row) {
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < width; ++i) {
      double x = a[row * width + i], y = b[row * width + i];
      difference += (x - y) * (x - y);
      norm += y * y;
    }
    double error =
        norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
    if (std::isnan(error))
      return error;
    worst = std::max(worst, error);
  }
  return worst;
}

std::vector<float> multiply(const std::vector<float> &a,
                            const std::vector<float> &w, int64_t m, int64_t n,
                            int64_t k) {
  std::vector<float> c(m * n);
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = 0; column < n; ++column) {
      float sum = 0;
      for (int64_t i = 0; i < k; ++i)
        sum += a[row * k + i] * w[column * k + i];
      c[row * n + column] = sum;
    }
  return c;
}

//===----------------------------------------------------------------------===//
// GEMM
//===----------------------------------------------------------------------===//

std::string rows(int64_t width) {
  return formatv("tensor<?x{0}xf32>", width).str();
}
std::string dims(int64_t width) {
  return formatv("{{exec.dims = [\"rows\", {0}]}", width).str();
}

/// One GEMM kernel; `epilogue` is the text from "epilogue(" to "}", `extra` an
/// argument declaration that it uses.
std::string gemmKernel(StringRef name, int64_t n, int64_t k, StringRef type,
                       StringRef extra = "", StringRef epilogue = "") {
  return formatv(R"(
    func.func @{0}(%x: {1} {2}, %w: tensor<{3}x{4}x{5}>{6}, %out: {7} {8}) -> {7} {{
      %0 = prune.gemm "" %x, %w {9} : {1}, tensor<{3}x{4}x{5}> -> {7}
      return %0 : {7}
    })",
                 name, rows(k), dims(k), n, k, type, extra, rows(n), dims(n),
                 epilogue)
      .str();
}

struct GemmCase {
  int64_t n, k;
  const char *type;
};

std::string caseName(const GemmCase &shape) {
  return formatv("gemm_{0}_{1}_{2}", shape.n, shape.k, shape.type).str();
}

void checkGemms(StringRef isa, ArrayRef<GemmCase> shapes,
                ArrayRef<int64_t> heights, bool oracle = false) {
  std::string source;
  for (const GemmCase &shape : shapes)
    source += gemmKernel(caseName(shape), shape.n, shape.k, shape.type);
  auto kernels = Kernels::compile(source, oracle, isa.str());
  ASSERT_TRUE(kernels);
  for (const GemmCase &shape : shapes) {
    std::string name = caseName(shape);
    EXPECT_EQ(kernels->strategy(name), "gemm");
    for (int64_t m : heights) {
      SCOPED_TRACE(formatv("{0} rows {1} {2}", name, m, isa).str());
      std::vector<float> x = integers(m * shape.k),
                         w = integers(shape.n * shape.k);
      std::vector<float> packed =
          pack(w, shape.n, shape.k, kernels->panels(name, 1),
               StringRef(shape.type) == "bf16" ? 2 : 1);
      std::vector<char> stored = store(packed, shape.type);
      std::vector<float> expected = multiply(x, w, m, shape.n, shape.k);
      for (int64_t chunk : {0, 1, 3}) {
        Guarded out(std::vector<float>(m * shape.n, NAN));
        Symbols symbols;
        symbols.rows = m;
        kernels->run(name, {x.data(), stored.data(), out.data()}, symbols,
                     chunk);
        EXPECT_EQ(out.contents(), expected);
        EXPECT_TRUE(out.intact());
      }
    }
  }
}

TEST(CodegenCPU, GemmIsExactOnIntegersAtOddShapes) {
  checkGemms("host",
             {{1, 1, "f32"},
              {5, 7, "bf16"},
              {17, 33, "f16"},
              {33, 127, "f32"},
              {64, 128, "bf16"},
              {65, 129, "f32"},
              {131, 257, "bf16"}},
             {0, 1, 2, 3, 5, 6, 7, 13, 70, 97, 200});
}

TEST(CodegenCPU, GemmForAVX2IsExactOnIntegers) {
  checkGemms("avx2", {{7, 5, "f32"}, {65, 131, "bf16"}, {48, 64, "f16"}},
             {1, 4, 6, 29});
}

TEST(CodegenCPU, GemmEpilogues) {
  constexpr int64_t n = 71, k = 37, m = 23;
  std::string x = rows(k), y = rows(n);
  std::string source;
  // The residual is the destination's old contents.
  source +=
      gemmKernel("residual", n, k, "f32", "",
                 R"(epilogue(%acc: f32, %r: f32 = %out : tensor<?x71xf32>) {
      %s = arith.addf %acc, %r : f32
      prune.yield %s : f32
    })");
  source +=
      gemmKernel("bias", n, k, "bf16", ", %b: tensor<71xbf16>",
                 R"(epilogue(%acc: f32, %b0: bf16 = %b : tensor<71xbf16>) {
      %b1 = arith.extf %b0 : bf16 to f32
      %s = arith.addf %acc, %b1 : f32
      prune.yield %s : f32
    })");
  source +=
      gemmKernel("swiglu", n, k, "f32", ", %up: " + y + " " + dims(n),
                 R"(epilogue(%acc: f32, %u: f32 = %up : tensor<?x71xf32>) {
      %one = arith.constant 1.0 : f32
      %negative = arith.negf %acc : f32
      %power = math.exp %negative : f32
      %below = arith.addf %power, %one : f32
      %silu = arith.divf %acc, %below : f32
      %s = arith.mulf %silu, %u : f32
      prune.yield %s : f32
    })");
  auto kernels = Kernels::compile(source);
  ASSERT_TRUE(kernels);

  Symbols symbols;
  symbols.rows = m;
  std::vector<float> a = integers(m * k), w = integers(n * k),
                     r = integers(m * n), b = integers(n);
  std::vector<float> packed = pack(w, n, k, kernels->panels("bias", 1));
  std::vector<float> product = multiply(a, w, m, n, k);
  std::vector<float> pairs = pack(w, n, k, kernels->panels("bias", 1), 2);
  std::vector<char> biasWeight = store(pairs, "bf16"), bias = store(b, "bf16");

  Guarded out(r);
  kernels->run("residual", {a.data(), packed.data(), out.data()}, symbols, 1);
  std::vector<float> expected = product;
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] += r[i];
  EXPECT_EQ(out.contents(), expected);
  EXPECT_TRUE(out.intact());

  Guarded biased(r);
  kernels->run("bias",
               {a.data(), biasWeight.data(), bias.data(), biased.data()},
               symbols);
  expected = product;
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] += b[i % n];
  EXPECT_EQ(biased.contents(), expected);

  std::vector<float> up = normals(m * n);
  Guarded gated(r);
  kernels->run("swiglu", {a.data(), packed.data(), up.data(), gated.data()},
               symbols);
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] = product[i] / (1.0f + std::exp(-product[i])) * up[i];
  EXPECT_LT(rowError(gated.contents(), expected, n), 1e-6);
  EXPECT_TRUE(gated.intact());
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// With this scale, integer queries and keys make weights that are powers of
/// two, which are exact in every float type.
constexpr float kPowersOfTwo = 0.69314718f;

struct AttentionCase {
  int64_t headDim, queryHeads, kvHeads;
  const char *type;
  int64_t window; // 0: none
  /// Compiling takes most of the time: what differs between these is tested.
  std::vector<std::string> isas;
  /// Positions of a block, and how many blocks a list has room for; 0: a row
  /// attends to all.
  int64_t blockSize = 0, blocks = 0;
  float scale = kPowersOfTwo;
  /// Positions that are dropped together where they weigh less than 2^-2.5, to
  /// which no power of two is close; 0: no threshold.
  int64_t dropSize = 0;
};
constexpr double kLeastExponent = -2.5;

std::string caseName(const AttentionCase &shape) {
  return formatv("attention_{0}_{1}_{2}_{3}_{4}_{5}_{6}_{7}", shape.headDim,
                 shape.queryHeads, shape.kvHeads, shape.type, shape.window,
                 shape.blockSize, shape.blocks, shape.dropSize)
      .str();
}

std::string attentionKernel(const AttentionCase &shape) {
  std::string window =
      shape.window ? formatv(", window = {0} : i64", shape.window).str() : "";
  if (shape.dropSize)
    window += formatv(", drop_below = {0:f8} : f32, drop_size = {1} : i64",
                      std::exp2(kLeastExponent), shape.dropSize)
                  .str();
  std::string cache =
      formatv("tensor<?x?x{0}x{1}>", shape.headDim * shape.kvHeads, shape.type)
          .str();
  int64_t width = shape.headDim * shape.queryHeads;
  std::string argument, lists;
  if (shape.blockSize) {
    std::string type =
        formatv("tensor<?x{0}xi32>", shape.kvHeads * shape.blocks).str();
    argument =
        formatv("%blocks: {0} {1},", type, dims(shape.kvHeads * shape.blocks))
            .str();
    lists =
        formatv("blocks of {0}(%blocks : {1})", shape.blockSize, type).str();
  }
  return formatv(R"(
    func.func @{0}(%q: {1} {2}, %k: {3} {{exec.dims = ["slots", "context", {4}]},
                   %v: {3} {{exec.dims = ["slots", "context", {4}]},
                   %slots: tensor<?xi32> {{exec.dims = ["rows"]}, %positions: tensor<?xi32> {{exec.dims = ["rows"]},
                   {7} %out: {1} {2}) -> {1} {{
      %0 = decoder.attention "" %q, %k, %v at %slots, %positions {8} {{head_dim = {5} : i64, scale = {9} : f32{6}} : {1}, {3}
      return %0 : {1}
    })",
                 caseName(shape), rows(width), dims(width), cache,
                 shape.headDim * shape.kvHeads, shape.headDim, window, argument,
                 lists, formatv("{0:f8}", shape.scale))
      .str();
}

/// Which rows a step has, and whether all numbers are small integers.
struct AttentionStep {
  std::vector<int32_t> slots, positions;
  bool exact;
  /// Where a value is infinite, if it is; only later rows of the slot see it.
  std::optional<std::pair<int32_t, int32_t>> infinite = std::nullopt;
  /// Has no row another of its slot before it, further than the first block?
  bool areRunsShort = false;
};

/// Lists of blocks, [rows, KV heads, blocks]: none, the row's own block alone,
/// or some of those up to and behind its own.
std::vector<int32_t> drawLists(const AttentionCase &shape,
                               const AttentionStep &step) {
  std::vector<int32_t> lists;
  std::uniform_int_distribution<int> kind(0, 4), coin(0, 2);
  for (int32_t position : step.positions)
    for (int64_t head = 0; head < shape.kvHeads; ++head) {
      auto own = static_cast<int32_t>(std::max(position, 0) / shape.blockSize);
      std::vector<int32_t> list;
      int of = kind(random());
      for (int32_t block = 0; block <= own + 2 && of > 1; ++block)
        if (coin(random()) == 0)
          list.push_back(block);
      if (of == 1)
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

/// Kernels by instruction set.
using CompiledKernels = std::map<std::string, std::unique_ptr<Kernels>>;

void checkAttention(const CompiledKernels &compiled, const AttentionCase &shape,
                    const AttentionStep &step) {
  std::string name = caseName(shape);
  Symbols symbols;
  symbols.rows = step.slots.size();
  symbols.slots = 3;
  symbols.context = 170;
  int64_t width = shape.headDim * shape.queryHeads,
          cacheWidth = shape.headDim * shape.kvHeads;
  auto draw = [&](int64_t count, int low, int high) {
    std::vector<float> values = normals(count);
    std::uniform_int_distribution<int> integer(low, high);
    if (step.exact)
      for (float &value : values)
        value = static_cast<float>(integer(random()));
    return values;
  };
  int64_t entries = symbols.slots * symbols.context * cacheWidth;
  std::vector<float> q = draw(symbols.rows * width, -1, 1),
                     k = draw(entries, -1, 1), v = draw(entries, -4, 4);
  if (!step.exact)
    for (float &value : q)
      value *= 0.2f;

  std::vector<int32_t> lists;
  if (shape.blockSize)
    lists = drawLists(shape, step);
  auto attends = [&](int64_t row, int64_t head, int64_t j) {
    if (j > step.positions[row] ||
        (shape.window && j <= step.positions[row] - shape.window))
      return false;
    auto list = lists.begin() + (row * shape.kvHeads + head) * shape.blocks;
    return !shape.blockSize ||
           std::find(list, list + shape.blocks, j / shape.blockSize) !=
               list + shape.blocks;
  };

  // What no row attends to must not matter, whatever it is.
  auto at = [&](int64_t slot, int64_t position) {
    return (slot * symbols.context + position) * cacheWidth;
  };
  for (int64_t slot = 0; slot < symbols.slots; ++slot) {
    int64_t end = 0;
    for (int64_t row = 0; row < symbols.rows; ++row)
      if (step.slots[row] == slot)
        end = std::max<int64_t>(end, step.positions[row] + 1);
    for (int64_t i = at(slot, end); i < at(slot + 1, 0); ++i)
      k[i] = v[i] = NAN;
  }
  for (int64_t slot = 0; slot < symbols.slots && shape.blockSize; ++slot)
    for (int64_t j = 0; j < symbols.context; ++j)
      for (int64_t head = 0; head < shape.kvHeads; ++head) {
        bool isSeen = false;
        for (int64_t row = 0; row < symbols.rows; ++row)
          isSeen |= step.slots[row] == slot && attends(row, head, j);
        int64_t first = at(slot, j) + head * shape.headDim;
        for (int64_t i = first; i < first + shape.headDim && !isSeen; ++i)
          k[i] = v[i] = NAN;
      }
  if (step.infinite) // in every KV head
    for (int64_t head = 0; head < shape.kvHeads; ++head)
      v[at(step.infinite->first, step.infinite->second) +
        head * shape.headDim] = INFINITY;
  std::vector<char> keys = store(k, shape.type), values = store(v, shape.type);

  std::vector<float> expected(q.size(), 0.0f);
  std::vector<bool> isKept(entries / shape.headDim);
  for (int64_t row = 0; row < symbols.rows; ++row)
    for (int64_t head = 0; head < shape.queryHeads; ++head) {
      int64_t kv = head / (shape.queryHeads / shape.kvHeads);
      std::vector<int64_t> seen;
      for (int64_t j = 0; j <= step.positions[row]; ++j)
        if (attends(row, kv, j))
          seen.push_back(j);
      std::vector<double> weights;
      double largest = -INFINITY, total = 0;
      for (int64_t j : seen) {
        double dot = 0;
        for (int64_t d = 0; d < shape.headDim; ++d)
          dot += q[row * width + head * shape.headDim + d] *
                 k[at(step.slots[row], j) + kv * shape.headDim + d];
        weights.push_back(shape.scale * dot);
        largest = std::max(largest, weights.back());
      }
      if (shape.dropSize)
        dropBlocks(shape, step.positions[row], seen, weights);
      for (int64_t j : seen)
        isKept[at(step.slots[row], j) / shape.headDim + kv] = true;
      for (double &weight : weights)
        total += weight = std::exp(weight - largest);
      for (int64_t d = 0; d < shape.headDim && !seen.empty(); ++d) {
        double sum = 0;
        for (auto [j, weight] : llvm::zip_equal(seen, weights))
          sum += weight / total *
                 v[at(step.slots[row], j) + kv * shape.headDim + d];
        expected[row * width + head * shape.headDim + d] =
            static_cast<float>(sum);
      }
    }
  // Values of what is dropped are not read, where no row beside it keeps it.
  if (shape.dropSize && step.areRunsShort)
    for (int64_t i = 0; i < entries; ++i)
      if (!isKept[i / shape.headDim])
        v[i] = NAN;
  values = store(v, shape.type);

  for (const std::string &isa : shape.isas) {
    auto found = compiled.find(isa);
    if (found == compiled.end())
      continue;
    Kernels &kernels = *found->second;
    SCOPED_TRACE(formatv("{0} {1}, {2} rows", name, isa, symbols.rows).str());
    EXPECT_EQ(kernels.strategy(name), "attention");
    // Products of pairs of bf16 round queries and weights: 2^-9 each.
    bool rounds = isa == "avx512_bf16" && StringRef(shape.type) == "bf16";
    double tolerance = step.exact && shape.scale == kPowersOfTwo ? 4e-6
                       : rounds                                  ? 1e-2
                                                                 : 1e-5;
    std::vector<float> first;
    for (int64_t chunk : {0, 1, 4}) {
      Guarded out(std::vector<float>(q.size(), NAN));
      std::vector<const void *> args{q.data(), keys.data(), values.data(),
                                     step.slots.data(), step.positions.data()};
      if (shape.blockSize)
        args.push_back(lists.data());
      args.push_back(out.data());
      kernels.run(name, args, symbols, chunk);
      std::vector<float> result = out.contents(), wanted = expected;
      for (size_t i = 0; i < result.size(); ++i)
        if (std::isinf(wanted[i]) && result[i] == wanted[i])
          result[i] = wanted[i] = 0;
      ASSERT_LT(rowError(result, wanted, width), tolerance) << chunk;
      ASSERT_TRUE(out.intact());
      if (first.empty())
        first = result;
      ASSERT_EQ(result, first);
    }
  }
}

/// `count` rows of a slot from a position on.
void addRun(AttentionStep &step, int32_t slot, int32_t position,
            int32_t count) {
  for (int32_t i = 0; i < count; ++i) {
    step.slots.push_back(slot);
    step.positions.push_back(position + i);
  }
}

/// The instruction sets that this machine has.
std::vector<std::string> instructionSets() {
  std::vector<std::string> names{"avx2"};
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    names.push_back("avx512");
  if (__builtin_cpu_supports("avx512bf16"))
    names.push_back("avx512_bf16");
  return names;
}

TEST(CodegenCPU, AttentionMatchesItsDefinition) {
  const AttentionCase cases[] = {
      {8, 8, 4, "f32", 0, {"avx512"}},
      {64, 6, 2, "bf16", 0, {"avx2", "avx512_bf16"}},
      {40, 2, 2, "f16", 5, {"avx512_bf16"}},
      {13, 3, 1, "bf16", 33, {"avx2", "avx512_bf16"}},
      {256, 4, 1, "f32", 70, {"avx2"}},
      {136, 7, 1, "bf16", 150, {"avx512_bf16"}},
      // Rows of one tile with other lists, lists without a block, several runs.
      {8, 4, 2, "f32", 0, {"avx2", "avx512"}, 16, 14},
      {64, 6, 2, "bf16", 0, {"avx2", "avx512_bf16"}, 48, 6},
      {13, 3, 3, "bf16", 33, {"avx512_bf16"}, 16, 14},
      {136, 7, 1, "f32", 70, {"avx2"}, 64, 5},
      // Rows that see nothing of the first keys of their run, at scales by
      // which the lowest score is not exact.
      {80, 2, 2, "f32", 5, {"avx2", "avx512"}, 0, 0, 0.11180340f},
      {64, 2, 2, "f32", 0, {"avx2", "avx512"}, 32, 6, 0.125f},
      // A threshold: alone, with a window that begins within a block, with
      // lists, with blocks longer than those of other kernels.
      {8, 4, 2, "f32", 0, {"avx2", "avx512"}, 0, 0, kPowersOfTwo, 32},
      {64, 6, 2, "bf16", 0, {"avx2", "avx512_bf16"}, 0, 0, kPowersOfTwo, 64},
      {13, 3, 3, "f16", 75, {"avx512"}, 0, 0, kPowersOfTwo, 32},
      {24, 4, 2, "f32", 0, {"avx2"}, 32, 6, kPowersOfTwo, 32},
      {136, 2, 1, "f32", 0, {"avx512"}, 0, 0, kPowersOfTwo, 128}};
  AttentionStep single{{2, 0, 0, 1, 2}, {130, 0, 1, 63, -1}, false};
  single.areRunsShort = true;
  AttentionStep decode{{2, 0, 1}, {165, 97, 160}, true};
  decode.areRunsShort = true;
  // A prompt, one that goes on, and decoding, in an order that is not theirs.
  AttentionStep ragged{{}, {}, false};
  addRun(ragged, 1, 0, 90);
  addRun(ragged, 0, 169, 1);
  addRun(ragged, 2, 77, 67);
  std::swap(ragged.slots[20], ragged.slots[140]);
  std::swap(ragged.positions[20], ragged.positions[140]);
  AttentionStep exact = ragged;
  exact.exact = true;
  AttentionStep infinite = exact;
  infinite.infinite = std::pair(1, 57);

  CompiledKernels compiled;
  for (const std::string &isa : instructionSets()) {
    std::string source;
    for (const AttentionCase &shape : cases)
      if (llvm::is_contained(shape.isas, isa))
        source += attentionKernel(shape);
    compiled[isa] = Kernels::compile(source, false, isa);
    ASSERT_TRUE(compiled[isa]);
  }
  for (const AttentionCase &shape : cases)
    for (const AttentionStep *step :
         {&single, &decode, &ragged, &exact, &infinite})
      if (!shape.dropSize || !step->infinite) // what is dropped must be finite
        checkAttention(compiled, shape, *step);
}

TEST(CodegenCPU, ACallDoesItsItemsOnly) {
  auto kernels = Kernels::compile(gemmKernel("gemm", 70, 3, "f32"));
  ASSERT_TRUE(kernels);
  Symbols symbols;
  symbols.rows = 200;

  // Item 1: all rows, columns 64 .. 69.
  std::vector<float> x = integers(200 * 3), w = integers(70 * 3);
  std::vector<float> packed = pack(w, 70, 3, kernels->panels("gemm", 1));
  std::vector<float> product = multiply(x, w, 200, 70, 3);
  std::vector<float> out(200 * 70, kCanary), expected = out;
  for (int64_t row = 0; row < 200; ++row)
    for (int64_t column = 64; column < 70; ++column)
      expected[row * 70 + column] = product[row * 70 + column];
  kernels->runItems("gemm", {x.data(), packed.data(), out.data()}, symbols, 1,
                    2);
  EXPECT_EQ(out, expected);
}

} // namespace
} // namespace coppice
