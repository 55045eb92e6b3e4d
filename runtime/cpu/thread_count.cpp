#include "runtime/cpu/thread_count.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sched.h>
#include <string>
#include <thread>
#include <vector>

namespace coppice::rt {
namespace {

int affinityCount() {
  // The fixed cpu_set_t ends at 1024 CPUs; grow until the kernel accepts.
  for (int cpus = 1024; cpus <= 1 << 16; cpus *= 2) {
    std::vector<char> bytes(CPU_ALLOC_SIZE(cpus));
    auto *set = reinterpret_cast<cpu_set_t *>(bytes.data());
    if (sched_getaffinity(0, bytes.size(), set) == 0)
      return CPU_COUNT_S(bytes.size(), set);
  }
  return int(std::thread::hardware_concurrency());
}

std::string contents(const std::string &path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::optional<int64_t> leadingNumber(std::string_view text) {
  int64_t value = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc())
    return std::nullopt;
  return value;
}

std::optional<int> cpusOf(int64_t quota, int64_t period) {
  if (quota <= 0 || period <= 0)
    return std::nullopt;
  return int(std::max<int64_t>(1, (quota + period - 1) / period));
}

// The process's group below a hierarchy's mount, "/" where it is not known.
std::string groupPath(std::string_view prefix) {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);)
    if (line.rfind(prefix, 0) == 0)
      return line.substr(line.rfind(':') + 1);
  return "/";
}

// The tightest quota from the process's group up to the root.
std::optional<int> quotaV2() {
  std::optional<int> least;
  std::string group = groupPath("0::");
  while (true) {
    if (group == "/")
      group.clear();
    auto cpus = parseCpuMax(contents("/sys/fs/cgroup" + group + "/cpu.max"));
    if (cpus && (!least || *cpus < *least))
      least = cpus;
    if (group.empty())
      return least;
    size_t slash = group.rfind('/');
    group.resize(slash == std::string::npos ? 0 : slash);
  }
}

std::optional<int> quotaV1() {
  for (const char *mount :
       {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
    auto quota =
        leadingNumber(contents(std::string(mount) + "/cpu.cfs_quota_us"));
    auto period =
        leadingNumber(contents(std::string(mount) + "/cpu.cfs_period_us"));
    if (quota && period)
      return cpusOf(*quota, *period);
  }
  return std::nullopt;
}

} // namespace

std::optional<int> parseCpuMax(std::string_view text) {
  auto quota = leadingNumber(text); // "max" is not a number: no quota
  size_t space = text.find(' ');
  if (!quota || space == std::string_view::npos)
    return std::nullopt;
  auto period = leadingNumber(text.substr(space + 1));
  return period ? cpusOf(*quota, *period) : std::nullopt;
}

int usableThreads() {
  int count = std::max(1, affinityCount());
  for (auto quota : {quotaV2(), quotaV1()})
    if (quota)
      count = std::min(count, *quota);
  return count;
}

} // namespace coppice::rt
