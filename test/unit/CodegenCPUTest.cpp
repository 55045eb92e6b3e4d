//===- CodegenCPUTest.cpp - compiled kernels against plain C++ ------------===//
//
// Each test writes kernels as MLIR, plans and compiles them as `compile` does,
// loads the shared object and calls it through the kernel ABI. On small
// integers float arithmetic is exact, so that results must be equal to the bit.
//
//===----------------------------------------------------------------------===//

#include "coppice/Target/CPUTarget.h"
#include "support/Kernels.h"
#include "support/RaggedStep.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"
#include <cmath>
#include <numeric>
#include <random>

using namespace mlir;
using llvm::formatv;

namespace coppice {
using test::instructionSets;
using test::Kernels;
using test::RaggedStep;
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

/// The values that `store` has made bytes of.
std::vector<float> unstore(const std::vector<char> &bytes, StringRef type) {
  size_t size = type == "f32" ? 4 : 2;
  std::vector<float> values;
  for (size_t i = 0; i < bytes.size(); i += size) {
    uint64_t bits = 0;
    std::memcpy(&bits, &bytes[i], size);
    llvm::APFloat number(type == "f32"   ? llvm::APFloat::IEEEsingle()
                         : type == "f16" ? llvm::APFloat::IEEEhalf()
                                         : llvm::APFloat::BFloat(),
                         llvm::APInt(8 * size, bits));
    bool lossy;
    number.convert(llvm::APFloat::IEEEsingle(),
                   llvm::APFloat::rmNearestTiesToEven, &lossy);
    values.push_back(number.convertToFloat());
  }
  return values;
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
// Blocks of positions
//===----------------------------------------------------------------------===//

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
                        rows(width), dims(width), cache, cacheWidth)
                    .str();
    scored = formatv("by %q, %k heads of {0} : {1}, {2}", shape.headDim,
                     rows(width), cache)
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
                 caseName(shape), arguments, lists, dims(lists), shape.size,
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
void checkSelection(Kernels &kernels, const SelectCase &shape,
                    const RaggedStep &step) {
  std::string name = caseName(shape);
  SCOPED_TRACE(name);
  Symbols symbols;
  symbols.rows = step.slots.size();
  symbols.slots = 3;
  symbols.context = 170;
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
      value = static_cast<float>(integer(random()));
  // Scores that are NaN, and keys that no row may look at.
  k[at(1, 37)] = NAN;
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
  for (int64_t chunk : {0, 1, 5}) {
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

TEST(CodegenCPU, BlocksAreChosenByPositionAndByScore) {
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
  RaggedStep few{{2, 0, 0, 1, 2}, {130, 0, 1, 63, -1}};
  // Neighbours in one block, but of other slots.
  RaggedStep decode{{0, 1, 2, 2}, {90, 91, 92, 93}};
  RaggedStep ragged;
  ragged.addRun(1, 0, 90);
  ragged.addRun(0, 169, 1);
  ragged.addRun(2, 77, 67);
  std::swap(ragged.slots[20], ragged.slots[140]);
  std::swap(ragged.positions[20], ragged.positions[140]);
  std::string source;
  for (const SelectCase &shape : cases)
    source += selectKernel(shape);
  for (const std::string &isa : instructionSets()) {
    SCOPED_TRACE(isa);
    auto kernels = Kernels::compile(source, false, isa);
    ASSERT_TRUE(kernels);
    for (const SelectCase &shape : cases)
      for (const RaggedStep *step : {&few, &ragged, &decode})
        checkSelection(*kernels, shape, *step);
  }
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

/// Runs a kernel in three ways of splitting its work, checks that they agree to
/// the bit, and returns the contents of the destination, the last argument.
std::vector<float> runAllWays(Kernels &kernels, StringRef name,
                              std::vector<const void *> inputs,
                              const std::vector<float> &destination,
                              const Symbols &symbols) {
  std::vector<float> first;
  for (int64_t chunk : {0, 1, 3}) {
    Guarded out(destination);
    std::vector<const void *> args = inputs;
    args.push_back(out.data());
    kernels.run(name, args, symbols, chunk);
    EXPECT_TRUE(out.intact());
    if (chunk == 0)
      first = out.contents();
    EXPECT_EQ(out.contents(), first);
  }
  return first;
}

const char *const kRowOps = R"(
  func.func @norm(%x: tensor<?x37xf32> {exec.dims = ["rows", 37]}, %g: tensor<37xbf16>,
                  %out: tensor<?x37xf32> {exec.dims = ["rows", 37]}) -> tensor<?x37xf32> {
    %0 = decoder.rms_norm "" %x, %g {epsilon = 1.0e-5 : f32, divisor = 40 : i64} : tensor<?x37xf32>, tensor<37xbf16>
    return %0 : tensor<?x37xf32>
  }
  func.func @lookup(%i: tensor<?xi32> {exec.dims = ["head_rows"]}, %t: tensor<19x23xf16>,
                    %out: tensor<?x23xf32> {exec.dims = ["head_rows", 23]}) -> tensor<?x23xf32> {
    %0 = decoder.lookup "" %i in %t : tensor<?xi32>, tensor<19x23xf16> -> tensor<?x23xf32>
    return %0 : tensor<?x23xf32>
  }
  func.func @table(%p: tensor<?xi32> {exec.dims = ["rows"]},
                   %out: tensor<?x6xf32> {exec.dims = ["rows", 6]}) -> tensor<?x6xf32> {
    %0 = decoder.rotary_table "" %p {frequencies = array<f32: 1.0, 0.25, 0.0625>} : tensor<?xi32> -> tensor<?x6xf32>
    return %0 : tensor<?x6xf32>
  }
  func.func @rotary(%x: tensor<?x21xf32> {exec.dims = ["rows", 21]}, %a: tensor<?x6xf32> {exec.dims = ["rows", 6]},
                    %out: tensor<?x21xf32> {exec.dims = ["rows", 21]}) -> tensor<?x21xf32> {
    %0 = decoder.rotary "" %x, %a {head_dim = 7 : i64} : tensor<?x21xf32>, tensor<?x6xf32>
    return %0 : tensor<?x21xf32>
  }
  func.func @append(%r: tensor<?x5xf32> {exec.dims = ["rows", 5]}, %slots: tensor<?xi32> {exec.dims = ["rows"]},
                    %positions: tensor<?xi32> {exec.dims = ["rows"]},
                    %cache: tensor<?x?x5xf32> {exec.dims = ["slots", "context", 5]}) -> tensor<?x?x5xf32> {
    %0 = decoder.append "" %r into %cache at %slots, %positions : tensor<?x5xf32> into tensor<?x?x5xf32>
    return %0 : tensor<?x?x5xf32>
  }
  func.func @append_bf16(%r: tensor<?x6xf32> {exec.dims = ["rows", 6]}, %slots: tensor<?xi32> {exec.dims = ["rows"]},
                    %positions: tensor<?xi32> {exec.dims = ["rows"]},
                    %cache: tensor<?x?x6xbf16> {exec.dims = ["slots", "context", 6]}) -> tensor<?x?x6xbf16> {
    %0 = decoder.append "" %r into %cache at %slots, %positions : tensor<?x6xf32> into tensor<?x?x6xbf16>
    return %0 : tensor<?x?x6xbf16>
  }
  func.func @groups(%x: tensor<?x37xf32> {exec.dims = ["rows", 37]}, %m: tensor<?x5xi8> {exec.dims = ["rows", 5]},
                    %out: tensor<?x37xf32> {exec.dims = ["rows", 37]}) -> tensor<?x37xf32> {
    %0 = prune.project_by "" %x, %m groups of 9 : tensor<?x37xf32>, tensor<?x5xi8>
    return %0 : tensor<?x37xf32>
  }
  func.func @groups_bf16(%x: tensor<?x48xbf16> {exec.dims = ["rows", 48]}, %m: tensor<?x2xi8> {exec.dims = ["rows", 2]},
                         %out: tensor<?x48xbf16> {exec.dims = ["rows", 48]}) -> tensor<?x48xbf16> {
    %0 = prune.project_by "" %x, %m groups of 24 : tensor<?x48xbf16>, tensor<?x2xi8>
    return %0 : tensor<?x48xbf16>
  }
  func.func @passed(%x: tensor<?x37xf32> {exec.dims = ["rows", 37]}, %m: tensor<?x1xi8> {exec.dims = ["rows", 1]},
                    %into: tensor<?x37xf32> {exec.dims = ["rows", 37]},
                    %out: tensor<?x37xf32> {exec.dims = ["rows", 37]}) -> tensor<?x37xf32> {
    %0 = prune.project_by "" %x, %m passed : tensor<?x37xf32>, tensor<?x1xi8> into %into : tensor<?x37xf32>
    return %0 : tensor<?x37xf32>
  }
  #id = affine_map<(m, n) -> (m, n)>
  func.func @swiglu(%gate: tensor<?x45xf32> {exec.dims = ["rows", 45]}, %up: tensor<?x45xf32> {exec.dims = ["rows", 45]},
                    %out: tensor<?x45xf32> {exec.dims = ["rows", 45]}) -> tensor<?x45xf32> {
    %c0 = arith.constant 0 : index
    %m = tensor.dim %gate, %c0 : tensor<?x45xf32>
    %e = tensor.empty(%m) : tensor<?x45xf32>
    %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%gate, %up : tensor<?x45xf32>, tensor<?x45xf32>) outs(%e : tensor<?x45xf32>) {
    ^bb0(%g: f32, %u: f32, %o: f32):
      %one = arith.constant 1.0 : f32
      %n = arith.negf %g : f32
      %p = math.exp %n : f32
      %d = arith.addf %p, %one : f32
      %s = arith.divf %g, %d : f32
      %r = arith.mulf %s, %u : f32
      linalg.yield %r : f32
    } -> tensor<?x45xf32>
    return %0 : tensor<?x45xf32>
  }
  // The residual stream is updated in place.
  func.func @residual(%delta: tensor<?x11xf32> {exec.dims = ["rows", 11]},
                      %out: tensor<?x11xf32> {exec.dims = ["rows", 11]}) -> tensor<?x11xf32> {
    %c0 = arith.constant 0 : index
    %m = tensor.dim %delta, %c0 : tensor<?x11xf32>
    %e = tensor.empty(%m) : tensor<?x11xf32>
    %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%out, %delta : tensor<?x11xf32>, tensor<?x11xf32>) outs(%e : tensor<?x11xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %s = arith.addf %a, %b : f32
      linalg.yield %s : f32
    } -> tensor<?x11xf32>
    return %0 : tensor<?x11xf32>
  }
  func.func @matmul(%x: tensor<?x9xf32> {exec.dims = ["rows", 9]}, %w: tensor<7x9xbf16>,
                    %out: tensor<?x7xf32> {exec.dims = ["rows", 7]}) -> tensor<?x7xf32> {
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %m = tensor.dim %x, %c0 : tensor<?x9xf32>
    %e = tensor.empty(%m) : tensor<?x7xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x7xf32>) -> tensor<?x7xf32>
    %0 = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
        ins(%x, %w : tensor<?x9xf32>, tensor<7x9xbf16>) outs(%f : tensor<?x7xf32>) -> tensor<?x7xf32>
    return %0 : tensor<?x7xf32>
  }
  // No rows at all: one work item, and a scalar.
  func.func @sum(%x: tensor<43xf32>, %out: tensor<f32>) -> tensor<f32> {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<f32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<f32>) -> tensor<f32>
    %0 = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]}
        ins(%x : tensor<43xf32>) outs(%f : tensor<f32>) {
    ^bb0(%a: f32, %s: f32):
      %1 = arith.addf %a, %s : f32
      linalg.yield %1 : f32
    } -> tensor<f32>
    return %0 : tensor<f32>
  }
  func.func @vector(%x: tensor<2500xf32>, %out: tensor<2500xf32>) -> tensor<2500xf32> {
    %e = tensor.empty() : tensor<2500xf32>
    %0 = linalg.add ins(%x, %x : tensor<2500xf32>, tensor<2500xf32>) outs(%e : tensor<2500xf32>) -> tensor<2500xf32>
    return %0 : tensor<2500xf32>
  }
)";

void checkRowOps(bool oracle, const std::string &isa) {
  auto kernels = Kernels::compile(kRowOps, oracle, isa);
  ASSERT_TRUE(kernels);
  EXPECT_EQ(kernels->strategy("rotary"), oracle ? "plain" : "rotary");
  EXPECT_EQ(kernels->strategy("norm"), oracle ? "plain" : "rows");
  for (int64_t m : {0, 1, 13}) {
    SCOPED_TRACE(formatv("{0} rows", m).str());
    Symbols symbols;
    symbols.rows = symbols.headRows = m;
    auto run = [&](StringRef name, std::vector<const void *> inputs,
                   const std::vector<float> &destination) {
      SCOPED_TRACE(name.str());
      return runAllWays(*kernels, name, inputs, destination, symbols);
    };
    auto fresh = [&](int64_t width) {
      return std::vector<float>(m * width, NAN);
    };

    std::vector<float> x = normals(m * 37), gain = normals(37);
    std::vector<char> storedGain = store(gain, "bf16");
    std::vector<float> expected(x.size());
    for (int64_t row = 0; row < m; ++row) {
      double squares = 0;
      for (int64_t i = 0; i < 37; ++i)
        squares += double(x[row * 37 + i]) * x[row * 37 + i];
      for (int64_t i = 0; i < 37; ++i)
        expected[row * 37 + i] =
            x[row * 37 + i] / std::sqrt(squares / 40 + 1e-5) * gain[i];
    }
    EXPECT_LT(rowError(run("norm", {x.data(), storedGain.data()}, fresh(37)),
                       expected, 37),
              1e-6);

    if (!oracle) {
      // What is not kept may be anything.
      std::vector<float> values = integers(m * 37), into = integers(m * 37);
      std::vector<int8_t> mask(m * 5), rowMask(m);
      for (size_t i = 0; i < mask.size(); ++i)
        mask[i] = i % 3 != 0;
      for (size_t i = 0; i < rowMask.size(); ++i)
        rowMask[i] = i % 2;
      std::vector<float> projected(values.size());
      for (size_t i = 0; i < values.size(); ++i) {
        bool isKept = mask[i / 37 * 5 + i % 37 / 9];
        projected[i] = isKept ? values[i] : 0.0f;
        if (!isKept)
          values[i] = NAN;
      }
      EXPECT_EQ(kernels->strategy("groups"), "rows");
      EXPECT_EQ(run("groups", {values.data(), mask.data()}, fresh(37)),
                projected);
      values = integers(m * 37);
      for (size_t i = 0; i < values.size(); ++i)
        projected[i] = rowMask[i / 37] ? into[i] : values[i];
      EXPECT_EQ(kernels->strategy("passed"), "rows");
      EXPECT_EQ(run("passed", {values.data(), rowMask.data(), into.data()},
                    fresh(37)),
                projected);
    }

    std::vector<float> table = integers(19 * 23);
    std::vector<char> storedTable = store(table, "f16");
    std::vector<int32_t> indices(m), positions(m);
    for (int64_t row = 0; row < m; ++row) {
      indices[row] = (row * 7 + 18) % 19;
      positions[row] = row * 331;
    }
    expected.assign(m * 23, 0.0f);
    for (int64_t i = 0; i < m * 23; ++i)
      expected[i] = table[indices[i / 23] * 23 + i % 23];
    EXPECT_EQ(run("lookup", {indices.data(), storedTable.data()}, fresh(23)),
              expected);

    const double frequencies[] = {1.0, 0.25, 0.0625};
    std::vector<float> angles(m * 6);
    for (int64_t row = 0; row < m; ++row)
      for (int64_t i = 0; i < 3; ++i) {
        angles[row * 6 + i] = std::cos(positions[row] * frequencies[i]);
        angles[row * 6 + 3 + i] = std::sin(positions[row] * frequencies[i]);
      }
    EXPECT_LT(rowError(run("table", {positions.data()}, fresh(6)), angles, 6),
              1e-6);

    x = normals(m * 21);
    expected = x; // column 6 of each head is not rotated
    for (int64_t row = 0; row < m; ++row)
      for (int64_t head = 0; head < 3; ++head)
        for (int64_t i = 0; i < 3; ++i) {
          const float *in = &x[row * 21 + head * 7];
          float *to = &expected[row * 21 + head * 7];
          float c = angles[row * 6 + i], s = angles[row * 6 + 3 + i];
          to[i] = in[i] * c - in[3 + i] * s;
          to[3 + i] = in[3 + i] * c + in[i] * s;
        }
    EXPECT_LT(rowError(run("rotary", {x.data(), angles.data()}, fresh(21)),
                       expected, 21),
              1e-6);

    symbols.slots = 3;
    symbols.context = 17;
    std::vector<float> cache = integers(3 * 17 * 5);
    x = normals(m * 5);
    std::vector<int32_t> slots(m);
    expected = cache;
    for (int64_t row = 0; row < m; ++row) {
      slots[row] = row % 3;
      positions[row] = (row * 5) % 17;
      std::copy_n(&x[row * 5], 5,
                  &expected[(slots[row] * 17 + positions[row]) * 5]);
    }
    EXPECT_EQ(run("append", {x.data(), slots.data(), positions.data()}, cache),
              expected);

    // Two bf16 of the cache travel as one float here.
    std::vector<float> wide = normals(m * 6),
                       storedCache = integers(3 * 17 * 6);
    std::vector<char> bytes = store(storedCache, "bf16"), rounded;
    std::vector<float> narrow = wide;
    rounded = store(narrow, "bf16");
    auto asFloats = [](const std::vector<char> &bytes) {
      std::vector<float> floats(bytes.size() / 4);
      std::memcpy(floats.data(), bytes.data(), bytes.size());
      return floats;
    };
    std::vector<float> before = asFloats(bytes);
    for (int64_t row = 0; row < m; ++row)
      std::copy_n(&rounded[row * 12], 12,
                  &bytes[(slots[row] * 17 + positions[row]) * 12]);
    EXPECT_EQ(run("append_bf16", {wide.data(), slots.data(), positions.data()},
                  before),
              asFloats(bytes));

    std::vector<float> gate = normals(m * 45), up = normals(m * 45);
    expected.assign(m * 45, 0.0f);
    for (int64_t i = 0; i < m * 45; ++i)
      expected[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
    EXPECT_LT(rowError(run("swiglu", {gate.data(), up.data()}, fresh(45)),
                       expected, 45),
              1e-6);

    std::vector<float> delta = integers(m * 11), stream = integers(m * 11);
    expected = stream;
    for (int64_t i = 0; i < m * 11; ++i)
      expected[i] += delta[i];
    EXPECT_EQ(run("residual", {delta.data()}, stream), expected);

    std::vector<float> a = integers(m * 9), w = integers(7 * 9);
    std::vector<char> storedWeight = store(w, "bf16");
    EXPECT_EQ(run("matmul", {a.data(), storedWeight.data()}, fresh(7)),
              multiply(a, w, m, 7, 9));
  }

  std::vector<float> x = integers(43);
  float total = 0;
  for (float value : x)
    total += value;
  EXPECT_EQ(runAllWays(*kernels, "sum", {x.data()}, {NAN}, {}),
            std::vector<float>{total});
  x = integers(2500);
  std::vector<float> doubled = x;
  for (float &value : doubled)
    value *= 2;
  EXPECT_EQ(runAllWays(*kernels, "vector", {x.data()},
                       std::vector<float>(2500, NAN), {}),
            doubled);
}

TEST(CodegenCPU, ACallDoesItsItemsOnly) {
  auto kernels =
      Kernels::compile(std::string(kRowOps) + gemmKernel("gemm", 70, 3, "f32"));
  ASSERT_TRUE(kernels);
  Symbols symbols;
  symbols.rows = 200;
  symbols.slots = 1;
  symbols.context = 200;

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

  // Item 1: row 1.
  std::vector<float> delta(200 * 11, 1.0f), stream(200 * 11, 2.0f);
  expected = stream;
  std::fill_n(expected.begin() + 11, 11, 3.0f);
  kernels->runItems("residual", {delta.data(), stream.data()}, symbols, 1, 2);
  EXPECT_EQ(stream, expected);

  // Item 1: as many rows as an item has, from there on.
  int64_t first = kernels->rowsOfItem("append");
  ASSERT_GT(first, 1);
  symbols.rows = symbols.context = 2 * first + 3;
  std::vector<float> rows(symbols.rows * 5, 7.0f),
      cache(symbols.rows * 5, 0.0f);
  std::vector<int32_t> slots(symbols.rows, 0), positions(symbols.rows);
  std::iota(positions.begin(), positions.end(), 0);
  expected = cache;
  std::fill_n(expected.begin() + first * 5, first * 5, 7.0f);
  kernels->runItems("append",
                    {rows.data(), slots.data(), positions.data(), cache.data()},
                    symbols, 1, 2);
  EXPECT_EQ(cache, expected);
}

/// A norm, a lookup and an append of rows of one width, and what they store.
std::string rowKernels(int64_t width, StringRef type) {
  return formatv(R"(
    func.func @norm_{0}(%x: {1} {2}, %g: tensor<{0}xf32>, %out: tensor<?x{0}x{3}> {2}) -> tensor<?x{0}x{3}> {{
      %0 = decoder.rms_norm "" %x, %g {{epsilon = 1.0e-5 : f32, divisor = {0} : i64} : {1}, tensor<{0}xf32> {4}
      return %0 : tensor<?x{0}x{3}>
    }
    func.func @lookup_{0}(%i: tensor<?xi32> {{exec.dims = ["rows"]}, %t: tensor<40x{0}x{3}>, %out: {1} {2}) -> {1} {{
      %0 = decoder.lookup "" %i in %t : tensor<?xi32>, tensor<40x{0}x{3}> -> {1}
      return %0 : {1}
    }
    func.func @append_{0}(%r: {1} {2}, %slots: tensor<?xi32> {{exec.dims = ["rows"]}, %positions: tensor<?xi32> {{exec.dims = ["rows"]},
                          %cache: tensor<?x?x{0}x{3}> {{exec.dims = ["slots", "context", {0}]}) -> tensor<?x?x{0}x{3}> {{
      %0 = decoder.append "" %r into %cache at %slots, %positions : {1} into tensor<?x?x{0}x{3}>
      return %0 : tensor<?x?x{0}x{3}>
    })",
                 width, rows(width), dims(width), type,
                 type == "f32"
                     ? ""
                     : formatv("-> tensor<?x{0}x{1}>", width, type).str())
      .str();
}

TEST(CodegenCPU, RowsOfAnyWidth) {
  struct Case {
    int64_t width;
    const char *type;
    double tolerance; // of what is stored in that type
  };
  const Case cases[] = {{1, "bf16", 4e-3},    {16, "f32", 1e-6},
                        {33, "f16", 5e-4},    {2047, "bf16", 4e-3},
                        {2112, "bf16", 4e-3}, {4099, "f32", 1e-6}};
  constexpr int64_t m = 37;
  std::string source;
  for (const Case &each : cases)
    source += rowKernels(each.width, each.type);
  for (const std::string &isa : instructionSets()) {
    auto kernels = Kernels::compile(source, /*oracle=*/false, isa);
    ASSERT_TRUE(kernels);
    for (auto [width, type, tolerance] : cases) {
      SCOPED_TRACE(formatv("{0} {1} {2}", width, type, isa).str());
      Symbols symbols;
      symbols.rows = m;
      symbols.slots = 3;
      symbols.context = 29;
      /// Runs a kernel that stores `type`, split in several ways.
      auto run = [&](StringRef op, std::vector<const void *> args,
                     std::vector<float> destination, StringRef stored) {
        std::string name = formatv("{0}_{1}", op, width).str();
        EXPECT_EQ(kernels->strategy(name), "rows");
        std::vector<char> first;
        for (int64_t chunk : {0, 1, 2}) {
          std::vector<float> padded = destination;
          padded.insert(padded.end(), kGuard, kCanary);
          std::vector<char> bytes = store(padded, stored), before = bytes;
          args.push_back(bytes.data());
          kernels->run(name, args, symbols, chunk);
          args.pop_back();
          size_t size = bytes.size() / padded.size() * destination.size();
          EXPECT_TRUE(std::equal(bytes.begin() + size, bytes.end(),
                                 before.begin() + size));
          bytes.resize(size);
          if (chunk == 0)
            first = bytes;
          EXPECT_EQ(bytes, first);
        }
        return first;
      };

      std::vector<float> x = normals(m * width), gain = normals(width), norm;
      for (int64_t row = 0; row < m; ++row) {
        double squares = 0;
        for (int64_t i = 0; i < width; ++i)
          squares += double(x[row * width + i]) * x[row * width + i];
        for (int64_t i = 0; i < width; ++i)
          norm.push_back(x[row * width + i] /
                         std::sqrt(squares / width + 1e-5) * gain[i]);
      }
      std::vector<float> fresh(m * width, NAN);
      EXPECT_LT(
          rowError(
              unstore(run("norm", {x.data(), gain.data()}, fresh, type), type),
              norm, width),
          tolerance);

      std::vector<float> table = normals(40 * width), picked;
      std::vector<char> storedTable = store(table, type);
      std::vector<int32_t> indices(m), slots(m), positions(m);
      for (int64_t row = 0; row < m; ++row) {
        indices[row] = (row * 7 + 18) % 40;
        slots[row] = row % 3;
        positions[row] = (row * 5) % 29;
        picked.insert(picked.end(), &table[indices[row] * width],
                      &table[indices[row] * width] + width);
      }
      EXPECT_EQ(unstore(run("lookup", {indices.data(), storedTable.data()},
                            fresh, "f32"),
                        "f32"),
                picked);

      std::vector<float> cache = normals(3 * 29 * width), expected = cache,
                         narrow = x;
      store(narrow, type);
      store(expected, type);
      for (int64_t row = 0; row < m; ++row)
        std::copy_n(&narrow[row * width], width,
                    &expected[(slots[row] * 29 + positions[row]) * width]);
      EXPECT_EQ(
          unstore(run("append", {x.data(), slots.data(), positions.data()},
                      cache, type),
                  type),
          expected);
    }
  }
}

TEST(CodegenCPU, RowOpsMatchTheirDefinitions) {
  for (const char *isa : {"host", "avx2"})
    checkRowOps(/*oracle=*/false, isa);
}

TEST(CodegenCPU, OracleRowOpsMatchTheirDefinitions) {
  checkRowOps(/*oracle=*/true, "host");
}

} // namespace
} // namespace coppice
