// Terms of a dispatch's time, against figures worked out on paper.
#include "runtime/costmodel/dispatch_time.h"
#include "runtime/costmodel/explain.h"

#include <gtest/gtest.h>

using namespace coppice::rt;

namespace {

/// 1000 FLOP/s of f32 and 4000 of bf16, half of them typically; 10 B/s from
/// DRAM, typically 5; 100 B/s from 1000 B of cache. GEMMs reach a half at one
/// row, all at 64, and take 0.5 s besides.
Machine slowMachine() {
  Machine machine;
  machine.cacheBytes = 1000;
  machine.caches[2] = {1000, true};
  Ceilings c;
  c.threads = 2;
  c.best = {1000, 4000, 250, 10};
  c.typical = {500, 2000, 125, 5};
  c.cacheRead[2] = 100;
  c.dispatchSeconds = 0.125;
  machine.ceilings = {c};
  machine.curves = {
      {{"gemm", "", "", "", 0}, "test", {{1, 0, 0.5, 0.5}, {64, 0, 1, 0.5}}},
      {{"other", "", "", "", 0}, "test", {{1, 0, 1, -1}}}};
  return machine;
}

} // namespace

TEST(DispatchTime, OfOneRow) {
  Machine machine = slowMachine();
  // C[1,7] = A[1,3] W[7,3]: 42 FLOP, 42 B of weights, 12 + 28 B warm.
  GemmShape shape{1, 7, 3, "f32", "bf16", "f32", /*panel=*/1, /*items=*/0};
  DispatchTime time = timeOfGemm(shape, machine, "avx512_bf16", 2);
  EXPECT_DOUBLE_EQ(time.boundSeconds, 4.2);
  EXPECT_DOUBLE_EQ(time.coldSeconds, 8.4);
  EXPECT_DOUBLE_EQ(time.warmSeconds, 0.4);
  EXPECT_DOUBLE_EQ(time.predictedSeconds, 8.8 / 0.5 + 0.5);
  EXPECT_EQ(time.limit, Limit::Memory);
}

TEST(DispatchTime, ManyRowsArePaddedToWholePanels) {
  Machine machine = slowMachine();
  // 7 columns in panels of 4 are 8: 64 * 8 * 3 * 2 FLOP.
  GemmShape shape{64, 7, 3, "f32", "f32", "f32", /*panel=*/4, 0};
  DispatchTime time = timeOfGemm(shape, machine, "avx512_bf16", 2);
  EXPECT_DOUBLE_EQ(time.paddedFlops, 3072);
  EXPECT_DOUBLE_EQ(time.computeSeconds, 3072 / 500.0);
  // 84 B cold, (192 + 448) * 4 B warm: more than the cache.
  EXPECT_DOUBLE_EQ(time.warmSeconds, 2560 / 5.0);
  EXPECT_DOUBLE_EQ(time.predictedSeconds, 84 / 5.0 + 512 + 0.5);
  // The bound counts neither padding nor activations.
  EXPECT_DOUBLE_EQ(time.boundSeconds, 84 / 10.0);
}

TEST(DispatchTime, ThePeakFollowsFromStorageAndInstructions) {
  Machine machine = slowMachine();
  GemmShape shape{64, 8, 3, "bf16", "bf16", "bf16", 4, 0};
  auto peak = [&](const char *isa) {
    return timeOfGemm(shape, machine, isa, 2).peakFlopsPerSecond;
  };
  EXPECT_EQ(peak("avx512_bf16"), 2000);
  EXPECT_EQ(peak("avx512"), 500);
  EXPECT_EQ(peak("avx2"), 125);
  shape.inputStorage = "f32";
  EXPECT_EQ(peak("avx512_bf16"), 500);
}

TEST(DispatchTime, TheLastRoundLeavesThreadsIdle) {
  Machine machine = slowMachine();
  machine.ceilings[0].cacheRead[2] = 1e9;
  machine.cacheBytes = 1 << 20;
  machine.caches[2].bytes = 1 << 20;
  GemmShape shape{64, 8, 300, "f32", "bf16", "f32", 8, /*items=*/3};
  DispatchTime time = timeOfGemm(shape, machine, "avx512", 2);
  // Three items on two threads take two rounds: 4/3 of an even spread.
  EXPECT_DOUBLE_EQ(time.waves, 4.0 / 3);
  EXPECT_DOUBLE_EQ(time.computeSeconds, 2 * 64 * 8 * 300 / 500.0 * 4 / 3);
  EXPECT_EQ(time.limit, Limit::Memory); // 960 s of bytes
  machine.ceilings[0].typical.dram = machine.ceilings[0].best.dram = 100;
  time = timeOfGemm(shape, machine, "avx512", 2);
  EXPECT_EQ(time.limit, Limit::Arithmetic);
  EXPECT_DOUBLE_EQ(time.predictedSeconds, time.computeSeconds + 0.5);
}

TEST(DispatchTime, AGpuComputesWholeTilesInWaves) {
  Machine machine = slowMachine();
  machine.units = 4;
  machine.tileRows = 16;
  machine.tileColumns = 8;
  // 17 rows are two tiles, 9 columns are two: four tiles, one wave of four.
  GemmShape shape{17, 9, 100, "bf16", "bf16", "bf16", /*panel=*/1, 0};
  DispatchTime time = timeOfGemm(shape, machine, "sm_90a", 1);
  EXPECT_DOUBLE_EQ(time.waves, 1);
  EXPECT_DOUBLE_EQ(time.paddedFlops, 2.0 * 32 * 16 * 100);
  // Six tiles: two waves, of which half of the second is idle.
  shape.m = 33;
  EXPECT_DOUBLE_EQ(timeOfGemm(shape, machine, "sm_90a", 1).waves, 8.0 / 6);
  // Three rows take a tile of the fewest; one tile is split into three parts of
  // K, since three are deep enough, and four units do them.
  machine.tileRows = 64;
  shape = {3, 8, 800, "bf16", "bf16", "bf16", 1, 0};
  time = timeOfGemm(shape, machine, "sm_90a", 1);
  EXPECT_DOUBLE_EQ(time.paddedFlops, 2.0 * 16 * 8 * 800);
  EXPECT_DOUBLE_EQ(time.waves, 4.0 / 3);
}

TEST(DispatchTime, ANormIsItsBytesAndTheOverhead) {
  Machine machine = slowMachine();
  DispatchWork work;
  work.kind = "norm";
  work.flops = 1;
  work.warmBytes = 200;
  work.rows = 5;
  DispatchTime time = timeOf(work, machine, "avx512", 2);
  EXPECT_DOUBLE_EQ(time.predictedSeconds, 2 + 0.125);
  work.warmBytes = 1;
  EXPECT_EQ(timeOf(work, machine, "avx512", 2).limit, Limit::Fixed);
}

TEST(Explain, NamesTheTermsOfADispatch) {
  Machine machine = slowMachine();
  Program program;
  program.dispatches.resize(1);
  program.dispatches[0].site = "up";
  program.dispatches[0].kind = DispatchKind::Gemm;
  Estimate estimate;
  estimate.dispatches.resize(1);
  DispatchEstimate &e = estimate.dispatches[0];
  e.work.m = 64;
  e.work.n = 7;
  e.work.k = 3;
  e.work.storage = "bf16";
  GemmShape shape{64, 7, 3, "f32", "bf16", "f32", /*panel=*/4, /*items=*/3};
  e.steps = {timeOfGemm(shape, machine, "avx512", 2)};
  std::string text = explain(program, estimate, 0);
  for (const char *part :
       {"up (gemm, f32 arithmetic, stored as bf16), m 64 n 7 k 3",
        "padding x1.143, waves x1.333", "0.042 KB from DRAM",
        "limit       memory", "(test)"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}
