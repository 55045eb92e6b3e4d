// What a machine can do: measured ceilings and what fraction of them kernels
// reach. machine.json (schema coppice.machine/1) comes in or goes out.
//
// Bounds are made from the ceilings alone, predictions from the ceilings and
// the efficiencies. Each efficiency says where it comes from, so that a default
// is never mistaken for a measurement.
#ifndef COPPICE_RUNTIME_COSTMODEL_MACHINE_H
#define COPPICE_RUNTIME_COSTMODEL_MACHINE_H

#include "runtime/base/status.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

/// Ceilings with a number of threads at work.
struct Ceilings {
  int threads = 1;
  double flopsPerSecond = 0;         ///< f32; a multiply-add is 2
  double dramReadBytesPerSecond = 0; ///< working set >= 4x the last-level cache
  double cacheReadBytesPerSecond = 0; ///< working set 1/4 of it
  double dispatchSeconds = 0;         ///< an empty dispatch over the pool
};

/// The fractions of the ceilings that dispatches of one kind reach.
struct Efficiency {
  double compute = 1; ///< of flopsPerSecond, where arithmetic limits
  double memory = 1;  ///< of the bandwidth, where bytes limit
  std::string origin; ///< "default: ..", "measured: .."
};

struct Machine {
  std::string host, cpu, isa, date, origin;
  int64_t cacheBytes = 0;         ///< last-level cache, all instances in reach
  std::vector<Ceilings> ceilings; ///< ascending threads
  std::map<std::string, Efficiency, std::less<>>
      efficiency; ///< by dispatch kind

  static Result<Machine> parse(std::string_view json);
  static Result<Machine> load(const std::string &path);

  /// Canonical text: one line, sorted keys. Parses back to an equal machine.
  std::string json() const;
  /// Of the canonical text.
  std::string sha256() const;

  /// The ceilings for `threads`: of the measured counts the least that is not
  /// below it, so that a bound made from them stays a bound; beyond the
  /// greatest, the greatest.
  const Ceilings &at(int threads) const;

  /// Raises the ceilings for `threads` to these, where they are lower.
  void raise(int threads, double flopsPerSecond, double dramReadBytesPerSecond);

  /// The efficiency of a dispatch kind, else of "other".
  const Efficiency &of(std::string_view kind) const;
};

/// Efficiencies to start from while none has been measured.
std::map<std::string, Efficiency, std::less<>> defaultEfficiencies();

/// $XDG_CACHE_HOME/coppice/machine.json, or below ~/.cache; empty when neither
/// variable is set.
std::string defaultMachinePath();

} // namespace coppice::rt

#endif
