// How many threads this process may usefully run: the CPUs in its affinity
// mask, cut down to the CPU quota of its cgroup (v2 or v1).
#ifndef COPPICE_RUNTIME_CPU_THREAD_COUNT_H
#define COPPICE_RUNTIME_CPU_THREAD_COUNT_H

#include "runtime/base/status.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace coppice::rt {

// At least 1.
int usableThreads();

// `asked`, or usableThreads() for 0. Refuses what no machine has.
Result<int> chooseThreads(int32_t asked);

// CPUs of a cgroup-v2 cpu.max ("150000 100000" is 2, rounded up); nothing for
// "max ..." and for text that is not of this form.
std::optional<int> parseCpuMax(std::string_view text);

// The tightest CPU quota of a process's cgroup and of those around it, v1 and
// v2: `mounts` is where the hierarchies are ("/sys/fs/cgroup"), `groups` the
// text of /proc/self/cgroup.
std::optional<int> cgroupQuota(const std::string &mounts,
                               std::string_view groups);

} // namespace coppice::rt

#endif
