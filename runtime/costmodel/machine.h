// What a machine can do and what fraction of it kernels reach. machine.json
// (schema coppice.machine/2, docs/measuring.md) comes in or goes out.
//
// Two sets of rates: `best` is what the machine does at most, and bounds are
// made of it alone; `typical` is what it does in the middle of many looks, and
// predictions are made of it. On a machine that others use too the two differ.
#ifndef COPPICE_RUNTIME_COSTMODEL_MACHINE_H
#define COPPICE_RUNTIME_COSTMODEL_MACHINE_H

#include "runtime/base/status.h"
#include "runtime/bundle/program.h"
#include "runtime/costmodel/curve.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

/// FLOP/s of each kind of arithmetic (a multiply-add is 2) and bytes/s read
/// from DRAM. 0: not known, or the machine has no such unit.
struct Rates {
  double f32 = 0;     ///< the widest vectors
  double bf16 = 0;    ///< dot instructions
  double f32Avx2 = 0; ///< 256-bit vectors, for code that is confined to them
  double dram = 0;    ///< working set >= 4x the last-level cache
  double tiles = 0;   ///< tiles of bf16 (AMX)

  /// Each rate the greater of both.
  void raise(const Rates &other);
  /// Each rate that `other` knows is replaced.
  void replace(const Rates &other);
  bool operator==(const Rates &) const = default;
};

/// FLOP/s of products made of `arithmetic` in code for `isa` ("avx2", "avx512",
/// "avx512_bf16", "amx_bf16"; anything else stands for all that the machine
/// has).
double peakOf(const Rates &rates, Arithmetic arithmetic, std::string_view isa);

constexpr int cacheLevels = 3;

/// With a number of threads at work.
struct Ceilings {
  int threads = 1;
  Rates best, typical;
  /// Bytes/s read from each level, 0 where it is not known. The last level's is
  /// always known.
  double cacheRead[cacheLevels] = {};
  double dispatchSeconds = 0; ///< an empty dispatch over the pool
};

struct CacheLevel {
  int64_t bytes = 0;   ///< of one instance; 0: there is no such level
  bool shared = false; ///< by all cores; else each core has its own
};

struct Machine {
  std::string host, cpu, isa, date, origin;
  CacheLevel caches[cacheLevels];
  /// The last level, all instances in reach.
  int64_t cacheBytes = 0;
  std::vector<Ceilings> ceilings; ///< ascending threads
  /// Of a step, outside of its dispatches: inputs in, logits out.
  double stepSeconds = 0;
  /// What one wave of a GPU's GEMM computes; 0 where kernels have no fixed
  /// tile. `units` of them run at once.
  int64_t tileRows = 0, tileColumns = 0, units = 0;
  std::vector<Curve> curves;
  /// Where each figure was taken from, by its name; for files from data sheets.
  std::map<std::string, std::string> sources;

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
  Ceilings &at(int threads);

  /// Bytes/s at which `bytes` that lie in a cache are read: those of the
  /// smallest level that holds them; 0 if none does.
  double cacheReadBytesPerSecond(double bytes, int threads) const;

  /// The curve that fits best; see curve.h.
  const Curve &curveFor(const CurveKey &key) const;
  /// Adds a curve in the place of one of equal key.
  void setCurve(Curve curve);
};

/// The schema that is read and written.
extern const char *const machineSchema;

/// $XDG_CACHE_HOME/coppice/machine.json, or below ~/.cache; empty when neither
/// variable is set.
std::string defaultMachinePath();

} // namespace coppice::rt

#endif
