// The CPU device's parts: thread pool, thread count, features.
#include "runtime/cpu/affinity.h"
#include "runtime/cpu/cpu_features.h"
#include "runtime/cpu/thread_count.h"
#include "runtime/cpu/thread_pool.h"

#include "temporary_directory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <mutex>
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

// Every item as long as the others: what a thread is given at a time is so much
// less than its share that all end together, the last chunks single items.
TEST(ThreadPoolTest, ChunksShrinkToSingleItems) {
  ThreadPool pool(3);
  for (int64_t count : {16, 61, 200, 4099}) {
    std::mutex mutex;
    std::map<int64_t, int64_t> sizes; // by begin
    pool.parallelFor(count, [&](int64_t begin, int64_t end) {
      std::lock_guard lock(mutex);
      sizes[begin] = end - begin;
    });
    int64_t previous = count;
    for (const auto &[begin, size] : sizes) {
      EXPECT_LE(size, std::max<int64_t>(1, (count - begin) / 6)) << begin;
      EXPECT_LE(size, previous) << begin;
      previous = size;
    }
    EXPECT_EQ(previous, 1);
  }
}

TEST(ThreadPoolTest, CallersTakeTurns) {
  auto pool = ThreadPool::shared(2, /*pin=*/false);
  ASSERT_TRUE(pool.ok());
  auto other = ThreadPool::shared(2, false),
       three = ThreadPool::shared(3, false);
  EXPECT_EQ(pool->get(), other->get());
  EXPECT_NE(pool->get(), three->get());
  auto sum = [&](int64_t count) {
    std::atomic<int64_t> total{0};
    (*pool)->parallelFor(count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        total += i;
    });
    return total.load();
  };
  std::thread beside([&] {
    for (int i = 0; i < 2000; ++i)
      ASSERT_EQ(sum(7), 21);
  });
  for (int i = 0; i < 2000; ++i)
    EXPECT_EQ(sum(11), 55);
  beside.join();
}

TEST(ThreadPoolTest, PinsEachThreadToACpuOfItsOwn) {
  std::vector<int> mask = allowedCpus();
  int threads = std::min<int>(2, int(mask.size()));
  {
    auto pool = ThreadPool::shared(threads, /*pin=*/true);
    ASSERT_TRUE(pool.ok()) << pool.status().message();
    std::mutex mutex;
    std::set<int> used;
    std::set<std::thread::id> seen;
    std::atomic<int> arrived{0};
    (*pool)->parallelFor(threads, [&](int64_t, int64_t) {
      cpu_set_t set;
      ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
      EXPECT_EQ(CPU_COUNT(&set), 1);
      for (int cpu : mask)
        if (CPU_ISSET(cpu, &set)) {
          std::lock_guard lock(mutex);
          used.insert(cpu);
          seen.insert(std::this_thread::get_id());
        }
      ++arrived;
      while (arrived < threads) // each item on a thread of its own
        std::this_thread::yield();
    });
    EXPECT_EQ(used.size(), seen.size());
    // The mask that others see is still the whole one, new pools use it.
    EXPECT_EQ(allowedCpus(), mask);
    EXPECT_GE(usableThreads(), threads);
    ThreadPool free(2);
    std::atomic<int> widest{0};
    std::atomic<int> both{0};
    free.parallelFor(2, [&](int64_t, int64_t) {
      cpu_set_t set;
      ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
      widest = std::max(widest.load(), CPU_COUNT(&set));
      ++both;
      while (both < 2)
        std::this_thread::yield();
    });
    EXPECT_EQ(widest, std::max(1, int(mask.size()) - 1)); // not the caller's
  }
  cpu_set_t after;
  ASSERT_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
  EXPECT_EQ(CPU_COUNT(&after), int(mask.size()));

  auto many = ThreadPool::shared(int(mask.size()) + 1, true);
  ASSERT_FALSE(many.ok());
  EXPECT_EQ(many.status().code(), COPPICE_INVALID_ARGUMENT);
  EXPECT_NE(many.status().message().find("affinity mask"), std::string::npos);
}

// A thread that is woken on the CPU of the one that computes helps nobody.
TEST(ThreadPoolTest, WorkersKeepOffTheCpuOfTheCaller) {
  std::vector<int> mask = allowedCpus();
  if (mask.size() < 2)
    GTEST_SKIP() << "one CPU";
  ScopedPinning pinning;
  ThreadPool pool(2);
  for (int cpu : {mask[0], mask[1], mask[0]}) {
    ASSERT_TRUE(bindThread(pthread_self(), {cpu}));
    std::atomic<int> arrived{0}, worker{-1};
    auto caller = std::this_thread::get_id();
    pool.parallelFor(2, [&](int64_t, int64_t) {
      ++arrived;
      while (arrived < 2) // each item on a thread of its own
        std::this_thread::yield();
      if (std::this_thread::get_id() != caller)
        worker = sched_getcpu();
    });
    EXPECT_NE(worker, -1);
    EXPECT_NE(worker, cpu);
  }
  ASSERT_TRUE(bindThread(pthread_self(), mask));
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

// Groups of both versions, nested: the tightest level counts, in the process's
// own branch only.
TEST(ThreadCountTest, TakesTheTightestNestedQuota) {
  test::TemporaryDirectory directory;
  std::string root = directory / "cgroup";
  auto write = [&](const std::string &path, const std::string &text) {
    auto file = std::filesystem::path(root + path);
    std::filesystem::create_directories(file.parent_path());
    test::writeBytes(file.string(), text);
  };
  std::string own = "1:name=systemd:/x\n0::/pods/pod7/main\n";
  EXPECT_EQ(cgroupQuota(root, own), std::nullopt);
  write("/pods/pod7/main/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroupQuota(root, own), std::nullopt);
  write("/pods/pod7/cpu.max", "250000 100000\n");
  EXPECT_EQ(cgroupQuota(root, own), 3);
  write("/pods/cpu.max", "600000 100000\n");
  write("/pods/pod8/cpu.max", "100000 100000\n");
  EXPECT_EQ(cgroupQuota(root, own), 3);
  write("/cpu.max", "200000 100000\n"); // a container's own group
  EXPECT_EQ(cgroupQuota(root, own), 2);
  EXPECT_EQ(cgroupQuota(root, "0::/\n"), 2);
  EXPECT_EQ(cgroupQuota(root, ""), 2);

  root = directory / "v1";
  own = "4:memory:/m\n3:cpu,cpuacct:/slice/unit\n2:cpuset:/\n";
  write("/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  write("/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroupQuota(root, own), std::nullopt);
  write("/cpu,cpuacct/slice/cpu.cfs_quota_us", "350000\n");
  write("/cpu,cpuacct/slice/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroupQuota(root, own), 4);
  EXPECT_EQ(cgroupQuota(root, "3:cpuset:/slice/unit\n"), std::nullopt);
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
