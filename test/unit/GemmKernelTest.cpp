//===- GemmKernelTest.cpp - GEMM kernels against a triple loop ------------===//
//
// Shapes, configurations and data are drawn anew in each run; a failure prints
// the seed. On small integers float arithmetic is exact, so that results must
// be equal to the bit, on every instruction set that this CPU has.
//
//===----------------------------------------------------------------------===//

#include "coppice/Codegen/CPU/LoadedGemm.h"
#include "support/KernelData.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"

using namespace mlir;
using llvm::formatv;

namespace coppice {
namespace {

using namespace test;

std::vector<CPUTarget> targets() {
  std::vector<CPUTarget> targets{{CPUTarget::ISA::AVX2}};
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
    targets.push_back({CPUTarget::ISA::AVX512});
  if (__builtin_cpu_supports("avx512bf16"))
    targets.push_back({CPUTarget::ISA::AVX512_BF16});
  return targets;
}

/// Small blocks, so that small shapes have several of everything, and small
/// tiles, which compile fast; candidates have large ones.
GemmConfig drawConfig(const GemmSpec &spec) {
  GemmConfig config;
  config.panel = spec.getClass().panel();
  config.rows = pick(3, 40);
  config.panels = pick(1, 3);
  config.depth = 2 * pick(4, 80);
  config.width = config.panel;
  config.height = pick(2, 4);
  if (config.panel % 32 == 0 && pick(0, 1)) {
    config.width = 32;
    config.height = pick(5, 8);
  }
  config.unroll = pick(1, 2);
  config.ahead = pick(0, 2);
  return config;
}

GemmSpec draw(StringRef input, StringRef weight, StringRef output = "f32",
              GemmSpec::Epilogue epilogue = GemmSpec::Epilogue::None) {
  GemmSpec spec;
  spec.n = pick(1, 150);
  spec.k = pick(1, 300);
  spec.input = input;
  spec.weight = weight;
  spec.output = output;
  spec.epilogue = epilogue;
  return spec;
}

void check(const GemmSpec &spec, const GemmConfig &config,
           const CPUTarget &target) {
  SCOPED_TRACE(
      formatv("seed {0}: N {1} K {2}, {3} x {4} to {5}, epilogue {6}, {7}; "
              "rows {8} panels {9} depth {10} height {11} width {12} unroll "
              "{13}",
              seed(), spec.n, spec.k, spec.input, spec.weight, spec.output,
              int(spec.epilogue), target.name(), config.rows, config.panels,
              config.depth, config.height, config.width, config.unroll)
          .str());
  auto gemm = LoadedGemm::compile(spec, config, target);
  ASSERT_TRUE(succeeded(gemm));
  for (int64_t m : {int64_t(0), config.least, config.least + pick(0, 8),
                    config.least + pick(9, 100)}) {
    SCOPED_TRACE(formatv("{0} rows", m).str());
    std::vector<float> a = integers(m * spec.k), w = integers(spec.n * spec.k),
                       bias = integers(spec.n), before = integers(m * spec.n);
    std::vector<float> expected = multiply(a, w, m, spec.n, spec.k);
    for (size_t i = 0; i < expected.size(); ++i)
      expected[i] += spec.epilogue == GemmSpec::Epilogue::Bias
                         ? bias[i % spec.n]
                     : spec.epilogue == GemmSpec::Epilogue::Residual ? before[i]
                                                                     : 0;
    std::vector<float> packed =
        pack(w, spec.n, spec.k, (*gemm)->panels(), (*gemm)->depth());
    Guarded input(store(a, spec.input)), weight(store(packed, spec.weight)),
        vector(store(bias, spec.weight)), output(store(before, spec.output));
    std::vector<const void *> args{input.data(), weight.data()};
    if (spec.epilogue == GemmSpec::Epilogue::Bias)
      args.push_back(vector.data());
    args.push_back(output.data());
    // From the last item to the first: they are independent.
    int64_t chunk = pick(1, 3);
    for (int64_t end = (*gemm)->items(m); end > 0; end -= chunk)
      (*gemm)->run(args, m, std::max<int64_t>(0, end - chunk), end);
    EXPECT_EQ(output.contents(), store(expected, spec.output));
    EXPECT_TRUE(output.intact());
  }
}

CPUTarget anyTarget() {
  std::vector<CPUTarget> all = targets();
  return all[pick(0, all.size() - 1)];
}

TEST(GemmKernel, IsExactOnIntegersAtOddShapes) {
  for (const CPUTarget &target : targets())
    for (auto [input, weight] : {std::pair("f32", "f32"), {"bf16", "bf16"}}) {
      GemmSpec spec = draw(input, weight);
      check(spec, drawConfig(spec), target);
    }
  for (auto [input, weight] : {std::pair("f32", "bf16"),
                               {"f32", "f16"},
                               {"bf16", "f16"},
                               {"bf16", "f32"}}) {
    GemmSpec spec = draw(input, weight);
    check(spec, drawConfig(spec), anyTarget());
  }
}

TEST(GemmKernel, EpiloguesAreExactOnIntegers) {
  using Epilogue = GemmSpec::Epilogue;
  for (const GemmSpec &spec :
       {draw("f32", "f32", "f32", Epilogue::Residual),
        draw("bf16", "bf16", "f32", Epilogue::Residual),
        draw("f32", "f32", "f32", Epilogue::Bias),
        draw("bf16", "bf16", "bf16", Epilogue::Bias),
        draw("bf16", "bf16", "bf16"), draw("f32", "f16", "f16")})
    check(spec, drawConfig(spec), anyTarget());
}

// With deep blocks, of which a small K has several only where rows are widened.
TEST(GemmKernel, WidenedRowsAreExactOnIntegers) {
  GemmSpec spec = draw("bf16", "bf16");
  spec.k = 512 + pick(1, 300);
  GemmConfig config = drawConfig(spec);
  config.depth = 2048;
  check(spec, config, CPUTarget{CPUTarget::ISA::AVX2});
}

TEST(GemmKernel, CandidatesAreExactOnIntegers) {
  for (const RowBucket &bucket : gemmRowBuckets()) {
    bool narrow = pick(0, 1);
    GemmSpec spec = narrow ? draw("bf16", "bf16") : draw("f32", "f32");
    SmallVector<GemmConfig> candidates =
        gemmCandidates(spec.getClass(), bucket);
    ASSERT_FALSE(candidates.empty());
    for (const GemmConfig &config : candidates) {
      EXPECT_EQ(config.panel, spec.getClass().panel());
      EXPECT_EQ(config.least, bucket.least);
    }
    check(spec, candidates[pick(0, candidates.size() - 1)], anyTarget());
  }
}

TEST(GemmKernel, BucketsCoverEveryNumberOfRows) {
  uint64_t next = 1;
  for (const RowBucket &bucket : gemmRowBuckets()) {
    EXPECT_EQ(uint64_t(bucket.least), next);
    EXPECT_GE(bucket.most, bucket.least);
    next = uint64_t(bucket.most) + 1;
  }
  EXPECT_EQ(gemmRowBuckets().back().most, std::numeric_limits<int64_t>::max());
}

} // namespace
} // namespace coppice
