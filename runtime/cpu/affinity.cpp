#include "runtime/cpu/affinity.h"

#include <mutex>
#include <sched.h>

namespace coppice::rt {
namespace {

std::mutex guard;
int pinnings = 0;
std::vector<int> before; // the mask, while pinnings > 0

std::vector<int> maskOfThread() {
  // The fixed cpu_set_t ends at 1024 CPUs; grow until the kernel accepts.
  std::vector<int> cpus;
  for (int limit = 1024; limit <= 1 << 16; limit *= 2) {
    std::vector<char> bytes(CPU_ALLOC_SIZE(limit));
    auto *set = reinterpret_cast<cpu_set_t *>(bytes.data());
    if (sched_getaffinity(0, bytes.size(), set) != 0)
      continue;
    for (int cpu = 0; cpu < limit; ++cpu)
      if (CPU_ISSET_S(cpu, bytes.size(), set))
        cpus.push_back(cpu);
    break;
  }
  if (cpus.empty())
    cpus.push_back(0);
  return cpus;
}

} // namespace

std::vector<int> allowedCpus() {
  std::lock_guard lock(guard);
  return pinnings > 0 ? before : maskOfThread();
}

bool bindThread(pthread_t thread, const std::vector<int> &cpus) {
  int limit = 1024;
  for (int cpu : cpus)
    while (cpu >= limit)
      limit *= 2;
  std::vector<char> bytes(CPU_ALLOC_SIZE(limit));
  auto *set = reinterpret_cast<cpu_set_t *>(bytes.data());
  for (int cpu : cpus)
    CPU_SET_S(cpu, bytes.size(), set);
  return pthread_setaffinity_np(thread, bytes.size(), set) == 0;
}

ScopedPinning::ScopedPinning() {
  std::lock_guard lock(guard);
  if (pinnings++ == 0)
    before = maskOfThread();
}

ScopedPinning::~ScopedPinning() {
  std::lock_guard lock(guard);
  --pinnings;
}

} // namespace coppice::rt
