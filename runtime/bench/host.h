// Facts about the machine and the moment that records carry.
#ifndef COPPICE_RUNTIME_BENCH_HOST_H
#define COPPICE_RUNTIME_BENCH_HOST_H

#include "runtime/costmodel/machine.h"
#include "runtime/cpu/affinity.h"

#include <cstdint>
#include <string>
#include <vector>

namespace coppice::rt {

std::string hostName();
/// "AMD EPYC ..", as in /proc/cpuinfo; "unknown" where that has none.
std::string cpuName();
/// ISO 8601, UTC, to the second.
std::string utcNow();
/// The commit that this program was built from; "unknown" outside of a
/// checkout.
std::string buildCommit();

/// "coppice 0.1.0, commit abc": whose code a bundle holds.
std::string producerName();

/// Keeps the calling thread on one CPU. Best effort: where the system refuses,
/// figures are noisier, not wrong.
void pinThread(int cpu);

/// The most memory that this process has had resident so far, in bytes.
int64_t peakResidentBytes();

/// Bytes of last-level cache in reach: each instance that an allowed CPU shares
/// counts once. 32 MiB where the system does not say.
int64_t lastLevelCacheBytes();

/// The data caches of the first allowed CPU, into `levels` (of cacheLevels);
/// what the system does not say stays 0.
void cacheLevelsOf(CacheLevel *levels);

/// The best instruction set that code is generated for and this CPU has:
/// "amx_bf16", "avx512_bf16", "avx512", "avx2", else "baseline".
std::string bestIsa();

} // namespace coppice::rt

#endif
