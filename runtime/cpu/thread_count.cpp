#include "runtime/cpu/thread_count.h"

#include "runtime/base/concat.h"
#include "runtime/cpu/affinity.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

namespace coppice::rt {
namespace {

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

// The process's group by a line of /proc/self/cgroup, "N:CONTROLLERS:PATH", of
// the hierarchy that has `controller` ("" is v2's); "" for the root, and where
// it is not known.
std::string groupPath(std::string_view groups, std::string_view controller) {
  for (size_t at = 0; at < groups.size();) {
    size_t end = std::min(groups.find('\n', at), groups.size());
    std::string_view line = groups.substr(at, end - at);
    at = end + 1;
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos)
      continue;
    std::string names =
        concat(",", line.substr(first + 1, second - first - 1), ",");
    if (names.find(concat(",", controller, ",")) == names.npos)
      continue;
    std::string path(line.substr(second + 1));
    return path == "/" ? "" : path;
  }
  return "";
}

// The tightest quota from a group up to its hierarchy's mount.
template <typename QuotaFn>
std::optional<int> tightest(std::string group, QuotaFn quotaOf) {
  std::optional<int> least;
  while (true) {
    std::optional<int> cpus = quotaOf(group);
    if (cpus && (!least || *cpus < *least))
      least = cpus;
    if (group.empty())
      return least;
    size_t slash = group.rfind('/');
    group.resize(slash == std::string::npos ? 0 : slash);
  }
}

std::optional<int> quotaV1(const std::string &directory) {
  auto quota = leadingNumber(contents(directory + "/cpu.cfs_quota_us"));
  auto period = leadingNumber(contents(directory + "/cpu.cfs_period_us"));
  return quota && period ? cpusOf(*quota, *period) : std::nullopt;
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

// A container often sees its own group as the root of the mount, under the path
// that the host has for it: levels that are not there have no quota.
std::optional<int> cgroupQuota(const std::string &mounts,
                               std::string_view groups) {
  std::optional<int> least;
  auto take = [&](std::optional<int> cpus) {
    if (cpus && (!least || *cpus < *least))
      least = cpus;
  };
  for (const char *mount : {"", "/unified"})
    take(tightest(groupPath(groups, ""), [&](const std::string &group) {
      return parseCpuMax(contents(mounts + mount + group + "/cpu.max"));
    }));
  for (const char *mount : {"/cpu", "/cpu,cpuacct"})
    take(tightest(groupPath(groups, "cpu"), [&](const std::string &group) {
      return quotaV1(mounts + mount + group);
    }));
  return least;
}

int usableThreads() {
  int count = int(allowedCpus().size());
  auto quota = cgroupQuota("/sys/fs/cgroup", contents("/proc/self/cgroup"));
  return quota ? std::min(count, *quota) : count;
}

Result<int> chooseThreads(int32_t asked) {
  constexpr int32_t most = 4096;
  if (asked < 0 || asked > most)
    return invalidArgument(
        concat("expected a thread count in [0, ", most, "], found ", asked));
  return asked > 0 ? asked : usableThreads();
}

} // namespace coppice::rt
