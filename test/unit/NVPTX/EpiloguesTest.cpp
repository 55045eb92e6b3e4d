//===- EpiloguesTest.cpp - what a product on a GPU reads besides ----------===//
//
// An epilogue with operands of every shape, [M, N], [M, 1] and [N], and of
// every type, as the region of a gated activation has them.
//
//===----------------------------------------------------------------------===//

#include "support/KernelData.h"
#include "support/Kernels.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"

using llvm::formatv;

namespace coppice {
namespace {

using namespace test;

std::string getSource(int64_t n, int64_t k) {
  return formatv(R"(
    func.func @product(%x: tensor<?x{1}xbf16> {{exec.dims = ["rows", {1}]},
                       %w: tensor<{0}x{1}xbf16>,
                       %gate: tensor<?x{0}xf16> {{exec.dims = ["rows", {0}]},
                       %scale: tensor<?x1xf32> {{exec.dims = ["rows", 1]},
                       %bias: tensor<{0}xbf16>,
                       %out: tensor<?x{0}xbf16> {{exec.dims = ["rows", {0}]})
        -> tensor<?x{0}xbf16> {{
      %0 = prune.gemm "" %x, %w
          epilogue(%acc: f32, %g: f16 = %gate : tensor<?x{0}xf16>,
                   %s: f32 = %scale : tensor<?x1xf32>,
                   %b: bf16 = %bias : tensor<{0}xbf16>) {{
        %zero = arith.constant 0.0 : f32
        %g1 = arith.extf %g : f16 to f32
        %b1 = arith.extf %b : bf16 to f32
        %positive = arith.maximumf %acc, %zero : f32
        %gated = arith.mulf %positive, %g1 : f32
        %scaled = arith.mulf %gated, %s : f32
        %sum = arith.addf %scaled, %b1 : f32
        %result = arith.truncf %sum : f32 to bf16
        prune.yield %result : bf16
      } : tensor<?x{1}xbf16>, tensor<{0}x{1}xbf16> -> tensor<?x{0}xbf16>
      return %0 : tensor<?x{0}xbf16>
    })",
                 n, k);
}

void check(int64_t m, int64_t n, int64_t k, const nvptx::PlanOptions &options) {
  SCOPED_TRACE(formatv("seed {0}: {1} x {2} x {3}", seed(), m, n, k).str());
  auto kernels = compileForGPU(getSource(n, k), options);
  ASSERT_TRUE(kernels);
  std::vector<float> x = integers(m * k), w = integers(n * k),
                     gate = integers(m * n), scale = integers(m),
                     bias = integers(n), expected = multiply(x, w, m, n, k);
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = 0; column < n; ++column) {
      float &value = expected[row * n + column];
      value = std::max(value, 0.0f) * gate[row * n + column] * scale[row] +
              bias[column];
    }
  Guarded inputs[] = {Guarded(store(x, "bf16")), Guarded(store(w, "bf16")),
                      Guarded(store(gate, "f16")), Guarded(store(scale, "f32")),
                      Guarded(store(bias, "bf16"))};
  std::vector<float> before(m * n, 7);
  Guarded output(store(before, "bf16"));
  std::vector<const void *> arguments;
  for (Guarded &each : inputs)
    arguments.push_back(each.data());
  arguments.push_back(output.data());
  Symbols symbols;
  symbols.rows = m;
  kernels->run("product", arguments, symbols);
  std::vector<char> bytes = store(expected, "bf16");
  // -0 and 0 are not told apart.
  auto withoutSign = [](std::vector<char> values) {
    for (size_t i = 0; i < values.size(); i += 2)
      if (values[i] == 0 && values[i + 1] == char(0x80))
        values[i + 1] = 0;
    return values;
  };
  EXPECT_EQ(withoutSign(output.contents()), withoutSign(bytes));
  EXPECT_TRUE(output.intact());
}

TEST(NVPTXEpilogues, ReadOperandsOfEveryShape) {
  nvptx::PlanOptions tile, parts;
  tile.gemm = nvptx::GemmConfig{16, 64, 64, 16, 16, 5};
  parts.gemm = tile.gemm;
  parts.gemm->splits = 3;
  for (bool isOdd : {false, true}) {
    int64_t n = 2 * pick(20, 50) - isOdd, k = 8 * pick(1, 30);
    check(pick(17, 20), n, k, tile);
    check(pick(5, 20), n, k, parts);
    check(3, n, k, {});
  }
}

} // namespace
} // namespace coppice
