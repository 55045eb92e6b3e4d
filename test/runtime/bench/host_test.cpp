// Facts about the host, the cache flush, and the ceilings that probing finds.
#include "runtime/bench/cache_flush.h"
#include "runtime/bench/host.h"
#include "runtime/bench/probe.h"
#include "runtime/cpu/cpu_features.h"

#include <algorithm>
#include <gtest/gtest.h>

using namespace coppice::rt;

TEST(Host, FactsAreThere) {
  EXPECT_FALSE(hostName().empty());
  EXPECT_FALSE(cpuName().empty());
  EXPECT_FALSE(buildCommit().empty());
  EXPECT_FALSE(allowedCpus().empty());
  EXPECT_GE(lastLevelCacheBytes(), 64 << 10);
  std::string now = utcNow();
  ASSERT_EQ(now.size(), 20u);
  EXPECT_EQ(now[10], 'T');
  EXPECT_EQ(now.back(), 'Z');
}

TEST(CacheFlush, RunsOnEveryCpu) {
  auto flush = CacheFlush::create(1 << 20);
  ASSERT_TRUE(flush.ok());
  flush->run();
}

TEST(Probe, CountsAscendToWhatIsUsable) {
  std::vector<int> counts = probeThreadCounts();
  ASSERT_FALSE(counts.empty());
  EXPECT_EQ(counts.front(), 1);
  for (size_t i = 1; i < counts.size(); ++i)
    EXPECT_LT(counts[i - 1], counts[i]);
}

TEST(Probe, CeilingsAreOfThisWorld) {
  ProbeOptions options;
  options.threads = {1};
  auto machine = probeMachine(options);
  ASSERT_TRUE(machine.ok()) << machine.status().message();
  const Ceilings &c = machine->at(1);
  EXPECT_GT(c.best.f32, 1e8);
  EXPECT_LT(c.best.f32, 1e12);
  EXPECT_GT(c.best.dram, 1e8);
  EXPECT_LT(c.best.dram, 1e12);
  EXPECT_LE(c.typical.f32, c.best.f32);
  EXPECT_LE(c.typical.dram, c.best.dram);
  if (hasCpuFeature("avx512_bf16"))
    EXPECT_EQ(c.best.bf16 > c.best.f32, !hasSlowBF16Dots());
  else
    EXPECT_EQ(c.best.bf16, 0);
  if (hasCpuFeature("amx_bf16"))
    EXPECT_GT(c.best.tiles, c.best.f32);
  else
    EXPECT_EQ(c.best.tiles, 0);
  double cache =
      *std::max_element(std::begin(c.cacheRead), std::end(c.cacheRead));
  EXPECT_GT(cache, c.best.dram / 2);
  EXPECT_GE(c.dispatchSeconds, 0);
  EXPECT_LT(c.dispatchSeconds, 1e-2);
  EXPECT_TRUE(Machine::parse(machine->json()).ok());
}

TEST(Probe, TheMedianOfLooksIgnoresWhatWasNotLookedAt) {
  Rates median = medianOf({{1, 0, 0, 9}, {3, 0, 0, 7}, {2, 5, 0, 8}});
  EXPECT_EQ(median.f32, 2);
  EXPECT_EQ(median.bf16, 5);
  EXPECT_EQ(median.f32Avx2, 0);
  EXPECT_EQ(median.dram, 8);
}
