// What this CPU can execute, asked from the CPU itself (cpuid), under the names
// of /proc/cpuinfo. A feature whose registers the system does not save (AVX-512
// under a kernel that has it off) counts as missing.
#ifndef COPPICE_RUNTIME_CPU_CPU_FEATURES_H
#define COPPICE_RUNTIME_CPU_CPU_FEATURES_H

#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

// All that are present, of those that code generators care about.
const std::vector<std::string> &cpuFeatures();
bool hasCpuFeature(std::string_view name);

// "avx512", "avx2" or "baseline": the widest family of vector code.
std::string_view cpuIsa();

} // namespace coppice::rt

#endif
