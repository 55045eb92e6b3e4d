// See host.h.
#include "runtime/bench/host.h"

#include "coppice/runtime.h"
#include "runtime/base/concat.h"
#include "runtime/bench/commit.h" // generated
#include "runtime/cpu/cpu_features.h"

#include <fstream>
#include <set>

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

namespace coppice::rt {

std::string hostName() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0 || !*name)
    return "unknown";
  return name;
}

std::string cpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      if (size_t colon = line.find(": "); colon != std::string::npos)
        return line.substr(colon + 2);
  return "unknown";
}

std::string utcNow() {
  time_t now = time(nullptr);
  tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string buildCommit() { return COPPICE_COMMIT; }

std::string producerName() {
  return concat("coppice ", coppice_version(), ", commit ", buildCommit());
}

void pinThread(int cpu) { bindThread(pthread_self(), {cpu}); }

int64_t peakResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t(usage.ru_maxrss) * 1024;
}

static std::string firstLine(const std::string &path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// "32768K" in bytes; 0 for anything else.
static int64_t parseCacheSize(const std::string &text) {
  char *end = nullptr;
  long long number = strtoll(text.c_str(), &end, 10);
  if (number <= 0 || number > (1 << 30))
    return 0;
  return *end == 'K' ? number << 10 : *end == 'M' ? number << 20 : 0;
}

int64_t lastLevelCacheBytes() {
  int64_t total = 0;
  std::set<std::string> seen;
  for (int cpu : allowedCpus()) {
    int64_t bytes = 0;
    int deepest = 0;
    std::string sharers;
    for (int index = 0; index < 8; ++index) {
      std::string base = concat("/sys/devices/system/cpu/cpu", cpu,
                                "/cache/index", index, "/");
      int level = atoi(firstLine(base + "level").c_str());
      if (level <= deepest || firstLine(base + "type") == "Instruction")
        continue;
      deepest = level;
      bytes = parseCacheSize(firstLine(base + "size"));
      sharers = firstLine(base + "shared_cpu_list");
    }
    if (bytes > 0 && seen.insert(sharers).second)
      total += bytes;
  }
  if (total > 0)
    return total;
  long told = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return told > 0 ? told : int64_t(32) << 20;
}

void cacheLevelsOf(CacheLevel *levels) {
  int cpu = allowedCpus().front();
  for (int index = 0; index < 8; ++index) {
    std::string base =
        concat("/sys/devices/system/cpu/cpu", cpu, "/cache/index", index, "/");
    int level = atoi(firstLine(base + "level").c_str());
    if (level < 1 || level > cacheLevels ||
        firstLine(base + "type") == "Instruction")
      continue;
    levels[level - 1] = {parseCacheSize(firstLine(base + "size")),
                         firstLine(base + "shared_cpu_list") !=
                             std::to_string(cpu)};
  }
  // A last level that only one CPU uses because there is only one.
  if (levels[cacheLevels - 1].bytes > 0)
    levels[cacheLevels - 1].shared = true;
}

std::string bestIsa() {
  if (cpuIsa() == "avx512" && hasCpuFeature("amx_bf16") &&
      hasCpuFeature("avx512_bf16"))
    return "amx_bf16";
  if (cpuIsa() == "avx512" && hasCpuFeature("avx512_bf16") &&
      !hasSlowBF16Dots())
    return "avx512_bf16";
  return std::string(cpuIsa());
}

} // namespace coppice::rt
