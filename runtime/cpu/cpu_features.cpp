#include "runtime/cpu/cpu_features.h"

#include <algorithm>
#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace coppice::rt {
namespace {

#if defined(__x86_64__)
enum Register { EAX, EBX, ECX, EDX };

// State components that the system must save for a feature to be usable
// (Intel SDM vol. 1, 13.1: bits of XCR0).
constexpr uint64_t noState = 0, avxState = 0x6, avx512State = 0xE6,
                   amxState = 0x60000;

struct Feature {
  const char *name;
  uint32_t leaf, subleaf;
  Register reg;
  int bit;
  uint64_t state;
};

constexpr Feature features[] = {
    {"pni", 1, 0, ECX, 0, noState}, // SSE3
    {"ssse3", 1, 0, ECX, 9, noState},
    {"fma", 1, 0, ECX, 12, avxState},
    {"sse4_1", 1, 0, ECX, 19, noState},
    {"sse4_2", 1, 0, ECX, 20, noState},
    {"movbe", 1, 0, ECX, 22, noState},
    {"popcnt", 1, 0, ECX, 23, noState},
    {"avx", 1, 0, ECX, 28, avxState},
    {"f16c", 1, 0, ECX, 29, avxState},
    {"bmi1", 7, 0, EBX, 3, noState},
    {"avx2", 7, 0, EBX, 5, avxState},
    {"bmi2", 7, 0, EBX, 8, noState},
    {"avx512f", 7, 0, EBX, 16, avx512State},
    {"avx512dq", 7, 0, EBX, 17, avx512State},
    {"avx512ifma", 7, 0, EBX, 21, avx512State},
    {"avx512cd", 7, 0, EBX, 28, avx512State},
    {"avx512bw", 7, 0, EBX, 30, avx512State},
    {"avx512vl", 7, 0, EBX, 31, avx512State},
    {"avx512vbmi", 7, 0, ECX, 1, avx512State},
    {"avx512_vbmi2", 7, 0, ECX, 6, avx512State},
    {"avx512_vnni", 7, 0, ECX, 11, avx512State},
    {"avx512_bitalg", 7, 0, ECX, 12, avx512State},
    {"avx512_vpopcntdq", 7, 0, ECX, 14, avx512State},
    {"amx_bf16", 7, 0, EDX, 22, amxState},
    {"avx512_fp16", 7, 0, EDX, 23, avx512State},
    {"amx_tile", 7, 0, EDX, 24, amxState},
    {"amx_int8", 7, 0, EDX, 25, amxState},
    {"avx_vnni", 7, 1, EAX, 4, avxState},
    {"avx512_bf16", 7, 1, EAX, 5, avx512State},
    {"abm", 0x80000001, 0, ECX, 5, noState}, // lzcnt
};

/// Tiles are large, so Linux saves them only for a process that has asked
/// (arch_prctl(2), ARCH_REQ_XCOMP_PERM). Asking changes nothing until a tile is
/// used.
bool mayUseTiles() {
#if defined(__linux__)
  constexpr long requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
#else
  return false;
#endif
}

uint64_t savedState() {
  uint32_t registers[4];
  constexpr int osxsave = 27;
  if (!__get_cpuid_count(1, 0, &registers[EAX], &registers[EBX],
                         &registers[ECX], &registers[EDX]) ||
      !(registers[ECX] >> osxsave & 1))
    return 0;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

std::vector<std::string> detect() {
  std::vector<std::string> present;
  uint64_t saved = savedState();
  for (const Feature &feature : features) {
    uint32_t registers[4] = {};
    if (__get_cpuid_count(feature.leaf, feature.subleaf, &registers[EAX],
                          &registers[EBX], &registers[ECX], &registers[EDX]) &&
        (registers[feature.reg] >> feature.bit & 1) &&
        (saved & feature.state) == feature.state &&
        (feature.state != amxState || mayUseTiles()))
      present.push_back(feature.name);
  }
  return present;
}
#else
std::vector<std::string> detect() { return {}; }
#endif

} // namespace

const std::vector<std::string> &cpuFeatures() {
  static const std::vector<std::string> present = detect();
  return present;
}

bool hasCpuFeature(std::string_view name) {
  const auto &present = cpuFeatures();
  return std::find(present.begin(), present.end(), name) != present.end();
}

bool hasSlowBF16Dots() {
#if defined(__x86_64__)
  uint32_t registers[4] = {};
  // "GenuineIntel", in the order of the registers (Intel SDM vol. 2, CPUID).
  return hasCpuFeature("avx512_bf16") &&
         __get_cpuid(0, &registers[EAX], &registers[EBX], &registers[ECX],
                     &registers[EDX]) &&
         registers[EBX] == 0x756e6547 && registers[EDX] == 0x49656e69 &&
         registers[ECX] == 0x6c65746e;
#else
  return false;
#endif
}

std::string_view cpuIsa() {
  if (hasCpuFeature("avx512f") && hasCpuFeature("avx512bw") &&
      hasCpuFeature("avx512vl") && hasCpuFeature("avx512dq"))
    return "avx512";
  if (hasCpuFeature("avx2") && hasCpuFeature("fma"))
    return "avx2";
  return "baseline";
}

} // namespace coppice::rt
