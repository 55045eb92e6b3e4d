//===- CodegenCPUTest.cpp - compiled kernels against plain C++ ------------===//
//
// Each test writes kernels as MLIR, plans and compiles them as `compile` does,
// loads the shared object and calls it through the kernel ABI. On small
// integers float arithmetic is exact, so that results must be equal to the bit.
//
//===----------------------------------------------------------------------===//

#include "coppice/Target/CPUTarget.h"
#include "support/KernelData.h"
#include "support/Kernels.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace mlir;
using llvm::formatv;

namespace coppice {
using test::integers;
using test::Kernels;
using test::multiply;
using test::normals;
using test::rowError;
using test::store;
using test::Symbols;

namespace {

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

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
