// Facts about the host, the cache flush, and the ceilings that probing finds.
#include "runtime/bench/cache_flush.h"
#include "runtime/bench/host.h"
#include "runtime/bench/probe.h"

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
  EXPECT_GT(c.flopsPerSecond, 1e8);
  EXPECT_LT(c.flopsPerSecond, 1e12);
  EXPECT_GT(c.dramReadBytesPerSecond, 1e8);
  EXPECT_LT(c.dramReadBytesPerSecond, 1e12);
  EXPECT_GT(c.cacheReadBytesPerSecond, c.dramReadBytesPerSecond / 2);
  EXPECT_GE(c.dispatchSeconds, 0);
  EXPECT_LT(c.dispatchSeconds, 1e-2);
  EXPECT_TRUE(Machine::parse(machine->json()).ok());
}
