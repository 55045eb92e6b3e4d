// The CPU device's parts: thread pool, thread count, features.
#include "runtime/cpu/cpu_features.h"
#include "runtime/cpu/thread_count.h"
#include "runtime/cpu/thread_pool.h"

#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <sched.h>
#include <set>
#include <sstream>

namespace coppice::rt {
namespace {

TEST(ThreadPoolTest, CoversEachItemOnce) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t count : {0, 1, 2, 3, 5, 17, 1000, 12345}) {
      auto hits = std::make_unique<std::atomic<int>[]>(size_t(count) + 1);
      pool.parallelFor(count, [&](int64_t begin, int64_t end) {
        ASSERT_LT(begin, end);
        for (int64_t i = begin; i < end; ++i)
          hits[size_t(i)].fetch_add(1, std::memory_order_relaxed);
      });
      for (int64_t i = 0; i < count; ++i)
        ASSERT_EQ(hits[size_t(i)].load(), 1) << i << " of " << count;
    }
  }
}

// Many small jobs, one after another, whose data is gone when run() returns:
// a worker that comes late must not touch it.
TEST(ThreadPoolTest, ManySmallJobsInARow) {
  ThreadPool pool(4);
  int64_t total = 0;
  for (int64_t job = 0; job < 20000; ++job) {
    auto sum = std::make_unique<std::atomic<int64_t>>(0);
    int64_t count = 2 + job % 13;
    pool.parallelFor(count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        *sum += i + 1;
    });
    ASSERT_EQ(*sum, count * (count + 1) / 2);
    total += *sum;
  }
  EXPECT_GT(total, 0);
}

TEST(ThreadPoolTest, WorkIsShared) {
  ThreadPool pool(2);
  // The first item waits for the second: only two threads can finish.
  std::atomic<bool> reached{false};
  pool.parallelFor(2, [&](int64_t begin, int64_t) {
    if (begin == 1)
      reached = true;
    else
      while (!reached)
        std::this_thread::yield();
  });
  EXPECT_TRUE(reached);
}

TEST(ThreadCountTest, ReadsQuotas) {
  EXPECT_EQ(parseCpuMax("max 100000\n"), std::nullopt);
  EXPECT_EQ(parseCpuMax("100000 100000\n"), 1);
  EXPECT_EQ(parseCpuMax("150000 100000\n"), 2);
  EXPECT_EQ(parseCpuMax("400000 100000"), 4);
  EXPECT_EQ(parseCpuMax("50 100000"), 1);
  for (const char *text :
       {"", "100000", "100000 ", "100000 0", "-1 100000", "x y"})
    EXPECT_EQ(parseCpuMax(text), std::nullopt) << text;
}

TEST(ThreadCountTest, FollowsAffinity) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_GE(usableThreads(), 1);
  EXPECT_LE(usableThreads(), CPU_COUNT(&before));
  int first = 0;
  while (!CPU_ISSET(first, &before))
    ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(usableThreads(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

TEST(CpuFeaturesTest, AgreeWithTheKernel) {
  std::ifstream in("/proc/cpuinfo");
  std::set<std::string> flags;
  for (std::string line; std::getline(in, line);)
    if (line.rfind("flags", 0) == 0) {
      std::istringstream words(line.substr(line.find(':') + 1));
      for (std::string word; words >> word;)
        flags.insert(word);
      break;
    }
  if (flags.empty())
    GTEST_SKIP() << "no flags in /proc/cpuinfo";
  for (const std::string &feature : cpuFeatures())
    EXPECT_TRUE(flags.count(feature)) << feature;
  for (const char *feature : {"avx", "avx2", "fma", "f16c", "avx512f",
                              "avx512bw", "avx512_bf16", "avx512_vnni", "bmi2"})
    EXPECT_EQ(hasCpuFeature(feature), flags.count(feature) > 0) << feature;
  EXPECT_FALSE(hasCpuFeature("avx1024f"));
}

} // namespace
} // namespace coppice::rt
