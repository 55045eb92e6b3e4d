//===- GemmKernelTest.cpp - GEMM kernels against a triple loop ------------===//
//
// Shapes, configurations and data are drawn anew in each run; a failure prints
// the seed. On small integers float arithmetic is exact, so that results must
// be equal to the bit, on every instruction set that this CPU has.
//
//===----------------------------------------------------------------------===//

#include "coppice/Codegen/CPU/LoadedGemm.h"
#include "runtime/cpu/cpu_features.h"
#include "support/GemmProblem.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"
#include <numeric>

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
  if (rt::hasCpuFeature("amx_bf16"))
    targets.push_back({CPUTarget::ISA::AMX_BF16});
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

/// The bytes of a weight as the kernel reads it.
std::vector<char> storeWeight(std::vector<float> &w, const LoadedGemm &gemm,
                              const GemmSpec &spec) {
  std::optional<rt::NMLayout> layout = gemm.nmLayout();
  if (!layout) {
    std::vector<float> packed =
        pack(w, spec.n, spec.k, gemm.panels(), gemm.depth());
    return store(packed, spec.weight);
  }
  return packKept(w, spec.weight, spec.n, spec.k, *layout);
}

/// Runs `gemm` on random data, of which `percentZero` of A are zeros, and
/// compares with the meaning of `prune.gemm`, element by element.
void checkRun(const LoadedGemm &gemm, const GemmSpec &spec, int64_t m,
              Kept kept, int percentZero = 0) {
  SCOPED_TRACE(formatv("{0} rows, kept {1}", m, int(kept)).str());
  GemmProblem problem(spec, m, kept, percentZero);
  Guarded weight(storeWeight(problem.weight(), gemm, spec));
  std::vector<const void *> args = problem.arguments(weight.data());
  // From the last item to the first: they are independent.
  int64_t chunk = pick(1, 3);
  for (int64_t end = gemm.items(m); end > 0; end -= chunk)
    gemm.run(args, m, std::max<int64_t>(0, end - chunk), end);
  problem.expectExact();
}

void check(const GemmSpec &spec, const GemmConfig &config,
           const CPUTarget &target) {
  SCOPED_TRACE(
      formatv("seed {0}: N {1} K {2}, {3} x {4} to {5}, epilogue {6}, {7}; "
              "rows {8} panels {9} depth {10} height {11} width {12} unroll "
              "{13}; sets {14} {15} {16}; {17} of {18}, expand {19}",
              seed(), spec.n, spec.k, spec.input, spec.weight, spec.output,
              int(spec.epilogue), target.name(), config.rows, config.panels,
              config.depth, config.height, config.width, config.unroll,
              int(spec.rows), spec.panelSize, spec.groupSize, spec.kept,
              spec.of, config.expand)
          .str());
  auto gemm = LoadedGemm::compile(spec, config, target);
  ASSERT_TRUE(succeeded(gemm));
  bool isAnyHeight = spec.rows != GemmSpec::Rows::All;
  for (int64_t m : {int64_t(0), config.least, config.least + pick(0, 8),
                    config.least + pick(9, 100)})
    for (Kept kept :
         isAnyHeight || spec.panelSize || spec.groupSize
             ? std::vector{Kept::None, Kept::One, Kept::Some, Kept::All}
             : std::vector{Kept::All})
      checkRun(**gemm, spec, m, kept);
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

// Rows that are shared out over items, less to each than a kernel is called for
// at the least: no tile may be taller than its item, or it leaves the scratch.
TEST(GemmKernel, ItemsOfFewRowsHaveShortTiles) {
  for (const CPUTarget &target : targets()) {
    GemmSpec spec = draw("f32", "f32");
    spec.k = 200 + pick(0, 50);
    spec.groupSize = 36; // sums are in the scratch from block to block
    GemmConfig config = drawConfig(spec);
    config.rows = 3;
    config.height = 5;
    config.width = config.panel % 32 ? 16 : 32;
    config.depth = 36;
    config.least = 4;
    check(spec, config, target);
  }
}

// Every kind of set and all of them together, on every instruction set.
TEST(GemmKernel, RunTimeSetsAreExactOnIntegers) {
  using Rows = GemmSpec::Rows;
  using Epilogue = GemmSpec::Epilogue;
  struct Sets {
    Rows rows;
    bool panels, groups;
  };
  for (const Sets &sets : {Sets{Rows::Gather, false, false},
                           {Rows::Scatter, false, false},
                           {Rows::Both, false, false},
                           {Rows::All, true, false},
                           {Rows::All, false, true},
                           {Rows::Both, true, true}})
    for (StringRef type : {"f32", "bf16"}) {
      GemmSpec spec = draw(type, type);
      // A residual is added where it is written.
      spec.epilogue = pick(0, 1) ? Epilogue::Residual : Epilogue::Bias;
      spec.rows = sets.rows;
      if (sets.panels)
        spec.panelSize = 16 * pick(1, 6);
      if (sets.groups)
        spec.groupSize = 2 * pick(2, 70);
      GemmConfig config = drawConfig(spec);
      config.least = pick(1, 4); // of all rows, not of those in a set
      check(spec, config, anyTarget());
    }
}

// Rows that differ from panel to panel, or from group to group, with patterns
// of weights and without.
TEST(GemmKernel, ListsOfRowsAreExactOnIntegers) {
  using Rows = GemmSpec::Rows;
  using Epilogue = GemmSpec::Epilogue;
  for (const CPUTarget &target : targets())
    for (Rows rows : {Rows::PerPanel, Rows::PerGroup})
      for (StringRef type : {"f32", "bf16"}) {
        GemmSpec spec = draw(type, type);
        spec.epilogue = pick(0, 1) ? Epilogue::Residual : Epilogue::Bias;
        spec.rows = rows;
        (rows == Rows::PerPanel ? spec.panelSize : spec.groupSize) =
            16 * pick(1, 6);
        if (pick(0, 3) == 0) {
          spec.kept = 2;
          spec.of = 4;
        } else if (rows == Rows::PerGroup && pick(0, 1)) {
          spec.groupSize = 2 * pick(2, 70);
        }
        GemmConfig config = drawConfig(spec);
        config.least = pick(1, 4); // of all rows, not of those in a list
        config.expand = pick(0, 2);
        check(spec, config, target);
      }
}

// Steps of tiles are whole where K is a multiple of theirs, so that listed rows
// go by one panel: short blocks of K, several lists to an item, and sets of
// panels.
TEST(GemmKernel, ListedRowsOfWholeStepsAreExactOnIntegers) {
  using Rows = GemmSpec::Rows;
  using Epilogue = GemmSpec::Epilogue;
  for (const CPUTarget &target : targets()) {
    if (target.isa != CPUTarget::ISA::AMX_BF16)
      continue;
    for (Rows rows : {Rows::Gather, Rows::Scatter, Rows::Both, Rows::PerPanel,
                      Rows::PerGroup}) {
      GemmSpec spec = draw("bf16", "bf16");
      spec.n = pick(60, 400);
      spec.k = 32 * pick(1, 16);
      spec.epilogue = pick(0, 1) ? Epilogue::Residual : Epilogue::Bias;
      spec.rows = rows;
      if (rows == Rows::PerPanel || pick(0, 1))
        spec.panelSize = 16 * pick(1, 6);
      if (rows == Rows::PerGroup) {
        spec.panelSize = 0;
        spec.groupSize = 32 * pick(1, 10);
      }
      GemmConfig config = drawConfig(spec);
      config.rows = pick(20, 60);
      config.least = pick(1, 4);
      check(spec, config, target);
    }
  }
}

// One row or two, of which values are zero: pairs whole, pairs by half, in one
// row alone; all of them; and none. -0 is a zero.
TEST(GemmKernel, ZerosOfInputsAreExactOnIntegers) {
  for (const CPUTarget &target : targets())
    for (auto [input, weight] : {std::pair("f32", "f32"),
                                 {"bf16", "bf16"},
                                 {"f32", "bf16"},
                                 {"f32", "f16"}}) {
      GemmSpec spec = draw(input, weight);
      spec.hasZeros = true;
      spec.epilogue =
          pick(0, 1) ? GemmSpec::Epilogue::Residual : GemmSpec::Epilogue::Bias;
      GemmConfig config = drawConfig(spec);
      config.rows = config.height = 2;
      config.width = config.panel;
      config.zeros = 1;
      config.least = 1;
      SCOPED_TRACE(formatv("seed {0}: N {1} K {2}, {3} x {4}, {5}", seed(),
                           spec.n, spec.k, spec.input, spec.weight,
                           target.name())
                       .str());
      auto gemm = LoadedGemm::compile(spec, config, target);
      ASSERT_TRUE(succeeded(gemm));
      for (int percent : {0, 50, 95, 100})
        for (int64_t m : {1, 2, 5})
          checkRun(**gemm, spec, m, Kept::All, percent);
    }
}

// Patterns that kernels make use of, with all that may come with them, and one
// that they do not.
TEST(GemmKernel, PatternsAreExactOnIntegers) {
  using Epilogue = GemmSpec::Epilogue;
  using Rows = GemmSpec::Rows;
  struct Pattern {
    int64_t kept, of;
    StringRef input, weight;
  };
  const std::vector<Pattern> patterns{
      {2, 4, "f32", "f32"},  {2, 4, "bf16", "bf16"}, {1, 4, "bf16", "bf16"},
      {1, 4, "f32", "f32"},  {2, 4, "f32", "bf16"},  {1, 2, "bf16", "f16"},
      {4, 8, "bf16", "bf16"}};
  for (const Pattern &pattern : patterns) {
    GemmSpec spec = draw(pattern.input, pattern.weight);
    spec.kept = pattern.kept;
    spec.of = pattern.of;
    spec.epilogue = pick(0, 1) ? Epilogue::Residual : Epilogue::Bias;
    if (pick(0, 2) == 0)
      spec.rows = Rows::Both;
    if (pick(0, 2) == 0)
      spec.panelSize = 16 * pick(1, 6);
    if (pick(0, 2) == 0)
      spec.groupSize = 2 * pick(2, 70); // mostly no whole steps
    else if (pick(0, 1))
      spec.groupSize = 16 * pick(1, 8);
    if (pick(0, 1))
      spec.k = 512 + pick(1, 300); // several blocks
    GemmConfig config = drawConfig(spec);
    config.expand = pick(0, 2);
    check(spec, config, anyTarget());
  }
}

// Copied rows end in zeros, which reach beyond a group that is short; several
// blocks, so that there are sums in memory that must stay as they are.
TEST(GemmKernel, ShortGroupsOfPatternsStayInTheirRows) {
  for (auto [type, kept, size] : {std::tuple("f32", 2, 4),
                                  {"bf16", 2, 8},
                                  {"bf16", 1, 8},
                                  {"f32", 2, 40}})
    for (const CPUTarget &target : targets()) {
      GemmSpec spec = draw(type, type);
      spec.kept = kept;
      spec.of = 4;
      spec.groupSize = size;
      spec.k = 1200 + pick(1, 100);
      GemmConfig config = drawConfig(spec);
      config.depth = 512;
      config.expand = 0;
      check(spec, config, target);
    }
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
