//===- GemmTilesTest.cpp - products of tensor cores, tile by tile ---------===//
//
// Strategies "gemm" and "gemm_2of4" in each configuration, whatever would be
// chosen:
// results, the instructions that it is about, and what ptxas makes of them.
//
//===----------------------------------------------------------------------===//

#include "ProductCheck.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"

using llvm::formatv;

namespace coppice {
namespace {

using namespace test;
using nvptx::GemmConfig;
using Rows = GemmSpec::Rows;
using Epilogue = GemmSpec::Epilogue;

std::string describe(const GemmConfig &config) {
  return formatv("tiles of {0} x {1} x {2}, warps of {3} x {4}, {5} stages, "
                 "{6} parts{7}",
                 config.rows, config.columns, config.depth, config.warpRows,
                 config.warpColumns, config.stages, config.splits,
                 config.twoOfFour ? ", 2 of 4" : "")
      .str();
}

/// A product of more than a tile each way, with rows aligned to 16 bytes.
GemmSpec drawLarge(const GemmConfig &config) {
  GemmSpec spec;
  if (config.twoOfFour) {
    spec.kept = pick(1, 2);
    spec.of = 4;
  }
  spec.weight = spec.input = pick(0, 1) ? "bf16" : "f16";
  spec.n = config.columns + pick(1, config.columns);
  spec.k = 8 * pick(1, 3 * config.depth / 8);
  spec.epilogue = Epilogue(pick(0, 2));
  spec.output =
      spec.epilogue == Epilogue::Residual || pick(0, 1) ? "f32" : spec.weight;
  return spec;
}

void addSets(GemmSpec &spec, const GemmConfig &config) {
  spec.rows = Rows(pick(0, 5));
  bool hasLists = spec.rows == Rows::PerPanel || spec.rows == Rows::PerGroup;
  if (spec.rows == Rows::PerPanel || (!hasLists && pick(0, 1)))
    spec.panelSize = pick(0, 1)         ? config.columns
                     : config.twoOfFour ? 16 * pick(1, spec.n / 16)
                                        : pick(16, spec.n);
  if (spec.rows == Rows::PerGroup || (!hasLists && pick(0, 1)))
    spec.groupSize = pick(0, 1)         ? config.depth
                     : config.twoOfFour ? 64 * pick(1, 3)
                                        : 8 * pick(2, 20);
}

void check(const GemmConfig &config, const GemmSpec &spec,
           std::vector<int64_t> rowCounts) {
  SCOPED_TRACE(describe(config));
  nvptx::PlanOptions options;
  options.gemm = config;
  checkProduct(spec, options, rowCounts);
}

/// All tiles, of all weights and of those that keep two of four.
std::vector<GemmConfig> candidates() {
  std::vector<GemmConfig> all = nvptx::gemmCandidates().vec();
  llvm::append_range(all, nvptx::gemmCandidates(/*twoOfFour=*/true));
  return all;
}

TEST(NVPTXGemmTiles, AllAreExactOnIntegers) {
  for (const GemmConfig &config : candidates())
    check(config, drawLarge(config), {config.rows + pick(1, 17)});
}

TEST(NVPTXGemmTiles, AllAreExactOnIntegersWithSets) {
  for (const GemmConfig &config : candidates()) {
    if (config.rows + config.columns > 192)
      continue; // as others, and slow
    GemmSpec spec = drawLarge(config);
    addSets(spec, config);
    check(config, spec, {pick(1, config.rows + 17)});
  }
}

/// Rows that are aligned to 8, 4 and 2 bytes only.
TEST(NVPTXGemmTiles, AnyAlignmentIsExactOnIntegers) {
  for (int64_t alignment : {4, 2, 1})
    for (const GemmConfig &config :
         {GemmConfig{16, 64, 64, 16, 16, 5}, GemmConfig{64, 64, 32, 32, 32, 4},
          GemmConfig{8, 64, 64, 8, 16, 5, 1, true}})
      for (bool hasSets : {false, true}) {
        GemmSpec spec = drawLarge(config);
        spec.k = alignment * (2 * pick(1, 60 / alignment) + 1);
        if (hasSets) {
          addSets(spec, config);
          if (spec.groupSize)
            spec.groupSize = config.twoOfFour ? 64 : pick(16, 100);
        }
        check(config, spec, {pick(1, config.rows + 17)});
      }
}

// K and groups are whole steps, the last group has fewer of them.
TEST(NVPTXGemmTiles, ShortLastGroupsReadNothingBehindK) {
  for (const GemmConfig &config : {GemmConfig{64, 64, 32, 32, 32, 4},
                                   GemmConfig{8, 64, 64, 8, 16, 5, 1, true}})
    for (Rows rows : {Rows::PerGroup, Rows::All}) {
      GemmSpec spec{.n = 74, .k = 320, .input = "f16", .weight = "f16"};
      spec.rows = rows;
      spec.groupSize = config.twoOfFour ? 192 : 96;
      spec.kept = config.twoOfFour ? 2 : 0;
      spec.of = 2 * spec.kept;
      check(config, spec, {1, 9});
    }
}

TEST(NVPTXGemmTiles, PartsOfKAreExactOnIntegers) {
  for (int64_t splits : {2, 5})
    for (bool hasSets : {false, true})
      for (GemmConfig config : {GemmConfig{16, 64, 64, 16, 16, 5},
                                GemmConfig{64, 64, 32, 32, 32, 4},
                                GemmConfig{16, 64, 64, 16, 16, 6, 1, true}}) {
        config.splits = splits;
        GemmSpec spec = drawLarge(config);
        spec.n -= pick(0, 1);
        spec.k = 8 * pick(1, 50);
        if (hasSets)
          addSets(spec, config);
        check(config, spec, {1, pick(2, config.rows + 17)});
      }
}

//===----------------------------------------------------------------------===//
// Instructions
//===----------------------------------------------------------------------===//

std::string ptxOf(const GemmConfig &config, const GemmSpec &spec) {
  nvptx::PlanOptions options;
  options.gemm = config;
  auto kernels = compileForGPU(spec.getSource("product"), options);
  return kernels ? kernels->ptx() : "";
}

void expectWords(const std::string &ptx, std::vector<const char *> words) {
  for (const char *each : words)
    EXPECT_NE(ptx.find(each), std::string::npos) << each;
}

TEST(NVPTXGemmTiles, AreComputedByTensorCores) {
  GemmConfig config{64, 64, 64, 32, 32, 4};
  GemmSpec spec{.n = 256, .k = 512, .input = "bf16", .weight = "bf16"};
  expectWords(ptxOf(config, spec),
              {"ldmatrix.sync.aligned.m8n8.x4.shared.b16",
               "cp.async.commit_group", "cp.async.wait_group \t2;",
               "cp.async.cg.shared.global", ", 16, ",
               "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
               "st.global.v2.b32"});
  spec.input = spec.weight = spec.output = "f16";
  expectWords(ptxOf(config, spec),
              {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"});
}

TEST(NVPTXGemmTiles, OfTwoOfFourAreComputedByHalfOfTheProducts) {
  GemmConfig config{64, 64, 64, 32, 32, 4, 1, true};
  GemmSpec spec{.n = 256, .k = 512, .input = "bf16", .weight = "bf16"};
  spec.kept = 2;
  spec.of = 4;
  std::string ptx = ptxOf(config, spec);
  expectWords(ptx, {"mma.sp.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32",
                    "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
                    "cp.async.cg.shared.global", "st.global.v2.b32"});
  EXPECT_EQ(ptx.find("mma.sync.aligned.m16n8k16"), std::string::npos);
}

/// Spills are looked for whenever a test compiles a kernel.
TEST(NVPTXGemmTiles, FitTheirProcessor) {
  constexpr int64_t kSharedBytes = 163 * 1024, kRegisters = 65536;
  for (const GemmConfig &config : candidates()) {
    SCOPED_TRACE(describe(config));
    EXPECT_LE(config.sharedBytes(), kSharedBytes);
    nvptx::PlanOptions options;
    options.gemm = config;
    GemmSpec spec{.n = 4096, .k = 4096, .input = "bf16", .weight = "bf16"};
    spec.epilogue = Epilogue::Residual;
    spec.rows = Rows::Both;
    if (config.twoOfFour) {
      spec.kept = 2;
      spec.of = 4;
    }
    auto kernels = compileForGPU(spec.getSource("product"), options);
    ASSERT_TRUE(kernels);
    if (kernels->resources().empty())
      GTEST_SKIP() << "no ptxas in PATH: registers are not known";
    for (const auto &[name, taken] : kernels->resources())
      EXPECT_LE(taken.registers * config.threads() * config.residentBlocks(),
                kRegisters);
  }
}

} // namespace
} // namespace coppice
