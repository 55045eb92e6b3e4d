// Bounds, predictions and Amdahl's law against figures worked out on paper.
#include "runtime/costmodel/estimate.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace coppice::rt;

namespace {

/// 1000 FLOP/s, 10 B/s from DRAM, 100 B/s from a cache of 1000 B, 0.5 s a
/// dispatch and 3 s a step; GEMMs reach a quarter.
Machine slowMachine() {
  Machine machine;
  machine.cacheBytes = 1000;
  machine.caches[2] = {1000, true};
  Ceilings c;
  c.best = c.typical = {1000, 0, 0, 10};
  c.cacheRead[2] = 100;
  c.dispatchSeconds = 0.5;
  machine.ceilings = {c};
  machine.stepSeconds = 3;
  machine.curves = {{{"gemm", "", "", "", 0}, "test", {{1, 0, 0.25, -1}}}};
  return machine;
}

/// A GEMM of 30 FLOP a row over 100 B of weights, then one of 7 FLOP a row
/// without any; 8 B read and 4 B written a row.
Program twoGemms() {
  Program program;
  program.weights.resize(1);
  program.buffers.resize(1);
  auto rows = [](int64_t each) {
    return Expr::binary(Expr::Op::Mul, Expr::symbol(symbolRows),
                        Expr::constant(each));
  };
  Dispatch first;
  first.site = "a";
  first.kind = DispatchKind::Gemm;
  first.args = {{ArgKind::Weight, 0}, {ArgKind::Buffer, 0}};
  first.writes = {1};
  first.cost = {rows(30), Expr::constant(100), rows(8), rows(4)};
  Dispatch second = first;
  second.site = "b";
  second.args = {{ArgKind::Buffer, 0}};
  second.writes = {0};
  second.cost = {rows(7), Expr::constant(0), rows(8), rows(4)};
  program.dispatches = {first, second};
  return program;
}

} // namespace

TEST(Estimate, ColdStep) {
  auto e =
      estimate(twoGemms(), {{3, 0, 1, true, 3, 5}}, slowMachine(), "avx512", 1,
               /*hot=*/false);
  ASSERT_TRUE(e.ok()) << e.status().message();
  // 90 FLOP take 0.09 s, 100 B take 10 s.
  EXPECT_DOUBLE_EQ(e->dispatches[0].boundSeconds, 10);
  // 21 FLOP; activations do not count.
  EXPECT_DOUBLE_EQ(e->dispatches[1].boundSeconds, 0.021);
  EXPECT_DOUBLE_EQ(e->boundSeconds, 10.021);
  // 100 B from DRAM, 36 B from the cache, at a quarter, and the overhead.
  EXPECT_DOUBLE_EQ(e->dispatches[0].predictedSeconds, (10 + 0.36) / 0.25 + 0.5);
  EXPECT_DOUBLE_EQ(e->dispatches[1].predictedSeconds, 0.36 / 0.25 + 0.5);
  EXPECT_DOUBLE_EQ(e->predictedSeconds, e->dispatches[0].predictedSeconds +
                                            e->dispatches[1].predictedSeconds +
                                            3);
}

TEST(Estimate, ArithmeticLimitsManyRows) {
  Machine machine = slowMachine();
  machine.cacheBytes = machine.caches[2].bytes = 1 << 20;
  auto e =
      estimate(twoGemms(), {{1, 0, 1001, true, 3, 2000}}, machine, "avx512", 1,
               /*hot=*/false);
  ASSERT_TRUE(e.ok());
  EXPECT_DOUBLE_EQ(e->dispatches[0].boundSeconds, 30.03);
  // 30.03 s of arithmetic against 10 + 120.12 s of bytes, at a quarter.
  EXPECT_DOUBLE_EQ(e->dispatches[0].predictedSeconds, 130.12 / 0.25 + 0.5);
}

TEST(Estimate, ActivationsBeyondTheCacheComeFromDram) {
  // 1001 rows read and write 12012 B, the cache holds 1000 B.
  auto e = estimate(twoGemms(), {{1, 0, 1001, true, 3, 2000}}, slowMachine(),
                    "avx512", 1,
                    /*hot=*/false);
  ASSERT_TRUE(e.ok());
  EXPECT_DOUBLE_EQ(e->dispatches[1].predictedSeconds, 1201.2 / 0.25 + 0.5);
  // The bound still counts none of them.
  EXPECT_DOUBLE_EQ(e->dispatches[1].boundSeconds, 7.007);
}

TEST(Estimate, HotStepsCountOnlyWhatExceedsTheCache) {
  std::vector<StepShape> step{{3, 0, 1, true, 3, 5}};
  auto all =
      estimate(twoGemms(), step, slowMachine(), "avx512", 1, /*hot=*/true);
  ASSERT_TRUE(all.ok());
  EXPECT_DOUBLE_EQ(all->boundSeconds, 0.09 + 0.021);
  Machine small = slowMachine();
  small.cacheBytes = small.caches[2].bytes = 30;
  auto some = estimate(twoGemms(), step, small, "avx512", 1, /*hot=*/true);
  ASSERT_TRUE(some.ok());
  EXPECT_DOUBLE_EQ(some->dispatches[0].boundSeconds, 7);
  EXPECT_DOUBLE_EQ(some->boundSeconds, 7.021);
}

TEST(Estimate, LaterStepsOfACellAreHot) {
  std::vector<StepShape> steps{{1, 0, 3, false, 3, 5}, {1, 3, 2, true, 3, 5}};
  auto e =
      estimate(twoGemms(), steps, slowMachine(), "avx512", 1, /*hot=*/false);
  ASSERT_TRUE(e.ok());
  EXPECT_DOUBLE_EQ(e->dispatches[0].boundSeconds, 10 + 0.06);
  EXPECT_EQ(e->dispatches[0].work.flops, 150);
  EXPECT_EQ(e->dispatches[0].steps.size(), 2u);
}

TEST(Amdahl, WeighsWhatIsRemovedByItsShare) {
  // Half of the time, half removed; 0.3 kept; 0.2 gone.
  EXPECT_DOUBLE_EQ(amdahlSpeedup({{5, 100, 50}, {3, 7, 7}, {2, 40, 0}}),
                   1 / 0.55);
  EXPECT_DOUBLE_EQ(amdahlSpeedup({{5, 0, 0}}), 1); // no work: nothing removed
  EXPECT_TRUE(std::isnan(amdahlSpeedup({})));
}

// Both factors of a weight are work of its site; a map between boundaries is
// work of none.
TEST(FoldIntoSites, aStepOfASiteIsWorkOfTheSite) {
  std::map<std::string, double> dense = {
      {"embed", 1}, {"layers.0.mlp.up", 100}, {"layers.0.mlp.gate", 100}};
  EXPECT_EQ(
      foldIntoSites(dense, {{"embed", 1},
                            {"layers.0.mlp.up", 20},
                            {"layers.0.mlp.up.v", 10},
                            {"layers.0.mlp.up.x.y", 5},
                            {"residual.layers.0.mlp", 7}}),
      (std::map<std::string, double>{{"embed", 1}, {"layers.0.mlp.up", 35}}));
}

// The first GEMM of twoGemms() for the rows that chance keeps, a half.
static Program routedGemms(double expected) {
  Program program = twoGemms();
  program.routes = {{"r", 0, 0, 1, expected, "s"}};
  program.routeColumns = 1;
  program.dispatches[0].route = 0;
  return program;
}

TEST(Estimate, PredictsTheExpectationOverMasks) {
  auto e = estimate(routedGemms(0.5), {{3, 0, 1, true, 3, 5}}, slowMachine(),
                    "avx512", 1, /*hot=*/false);
  ASSERT_TRUE(e.ok()) << e.status().message();
  // No row in one of eight masks: then neither work nor weights, but a
  // dispatch. Else 100 B come from DRAM, and 12 B a row from the cache.
  double expected = 0.5;
  for (double rows : {1, 1, 1, 2, 2, 2, 3})
    expected += (10 + 0.12 * rows) / 0.25 / 8;
  EXPECT_NEAR(e->dispatches[0].predictedSeconds, expected, 1e-9);
  // Bounds are of what is left: 87.5 B of weights.
  EXPECT_DOUBLE_EQ(e->dispatches[0].boundSeconds, 8.75);
  EXPECT_DOUBLE_EQ(e->dispatches[0].work.flops, 45);
  EXPECT_NEAR(e->dispatches[0].executedRows, 1.5, 1e-12);
  EXPECT_EQ(e->dispatches[1].executedRows, 3);

  // What keeps all is the dense one, what keeps none a dispatch alone.
  auto dense = estimate(twoGemms(), {{3, 0, 1, true, 3, 5}}, slowMachine(),
                        "avx512", 1, false);
  auto all = estimate(routedGemms(1), {{3, 0, 1, true, 3, 5}}, slowMachine(),
                      "avx512", 1, false),
       none = estimate(routedGemms(0), {{3, 0, 1, true, 3, 5}}, slowMachine(),
                       "avx512", 1, false);
  ASSERT_TRUE(dense.ok() && all.ok() && none.ok());
  EXPECT_DOUBLE_EQ(all->predictedSeconds, dense->predictedSeconds);
  EXPECT_DOUBLE_EQ(all->boundSeconds, dense->boundSeconds);
  EXPECT_DOUBLE_EQ(none->dispatches[0].predictedSeconds, 0.5);
  EXPECT_DOUBLE_EQ(none->dispatches[0].boundSeconds, 0);
  std::vector<RouteLoad> told = {{1.0}};
  auto announced = estimate(routedGemms(0.5), {{3, 0, 1, true, 3, 5}},
                            slowMachine(), "avx512", 1, false, told);
  ASSERT_TRUE(announced.ok());
  EXPECT_DOUBLE_EQ(announced->predictedSeconds, dense->predictedSeconds);
}

// A tile that is not full takes as long as a full one: the time of the mean
// number of rows would be too short.
TEST(Estimate, ExpectsTimesOfTilesNotTilesOfTheMean) {
  Machine gpu = slowMachine();
  gpu.tileRows = 16;
  gpu.tileColumns = 16;
  gpu.units = 1;
  gpu.ceilings[0].best.dram = gpu.ceilings[0].typical.dram = 1e12;
  gpu.ceilings[0].cacheRead[2] = 1e12;
  Program program = routedGemms(0.5);
  program.dispatches[0].gemm = GemmExtents{Expr::symbol(symbolRows), 16, 16};
  auto e = estimate(program, {{32, 0, 1, true, 32, 5}}, gpu, "", 1, false);
  ASSERT_TRUE(e.ok()) << e.status().message();
  // P(K > 16) of 32 rows is 0.43: two tiles then, else one.
  double tiles = 0;
  for (int k = 1; k <= 32; ++k)
    tiles +=
        std::ceil(k / 16.0) *
        std::exp(std::lgamma(33) - std::lgamma(k + 1) - std::lgamma(33 - k)) *
        std::pow(0.5, 32);
  double perTile = 16 * 30 / 1000.0 / 0.25;
  EXPECT_NEAR(e->dispatches[0].predictedSeconds, tiles * perTile + 0.5,
              1e-3 * tiles * perTile);
  EXPECT_NEAR(e->dispatches[0].executedRows, 16 * tiles, 1e-6);
  EXPECT_GT(tiles, 1.4);
}

// Attention's share of a routed program is its density; what routing adds is
// not charged.
TEST(Amdahl, OfARoutedProgram) {
  Program program = routedGemms(0.5);
  program.dispatches[1].site = "s.down"; // of the router
  std::vector<RouteLoad> loads = {{0.3, 1.0, 1.0}};
  auto e = estimate(program, {{3, 0, 1, true, 3, 5}}, slowMachine(), "avx512",
                    1, false, loads);
  ASSERT_TRUE(e.ok());
  auto work = workBySite(program, *e);
  EXPECT_FALSE(work.contains("s.down"));
  EXPECT_DOUBLE_EQ(work.at("a"), 0.3 * 90);
  EXPECT_NEAR(amdahlSpeedup({{1, 90, work.at("a")}}), 1 / 0.3, 1e-12);
}
