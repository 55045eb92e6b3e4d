// What this CPU can execute, asked from the CPU itself (cpuid), under the names
// of /proc/cpuinfo. A feature whose registers the system does not save (AVX-512
// under a kernel that has it off) counts as missing. Asking for AMX's also asks
// the system to save its tiles for this process.
#ifndef COPPICE_RUNTIME_CPU_CPU_FEATURES_H
#define COPPICE_RUNTIME_CPU_CPU_FEATURES_H

#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

// All that are present, of those that code generators care about.
const std::vector<std::string> &cpuFeatures();
bool hasCpuFeature(std::string_view name);

// Does vdpbf16ps lose to widening and f32 multiply-adds? On Intel's CPUs so far
// it does: Sapphire Rapids was measured at 45 GFLOP/s of dots beside 165 of
// f32, and a product of 512 x 2048 x 2048 at 1.58 times the time.
bool hasSlowBF16Dots();

// "avx512", "avx2" or "baseline": the widest family of vector code.
std::string_view cpuIsa();

} // namespace coppice::rt

#endif
