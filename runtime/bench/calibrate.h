// A machine and some bundles come in; the curves of the bundles' kernels on
// that machine go out (curve.h): how near each kind of dispatch comes to what
// the machine typically does, at some numbers of rows.
#ifndef COPPICE_RUNTIME_BENCH_CALIBRATE_H
#define COPPICE_RUNTIME_BENCH_CALIBRATE_H

#include "runtime/costmodel/machine.h"

#include <functional>

namespace coppice::rt {

struct CalibrateOptions {
  /// Their kernels of one class share a curve, so that bundles of models of
  /// other sizes add depths to it.
  std::vector<std::string> bundles;
  int threads = 0; ///< 0: as many as are usable
  /// Tokens of prefills of one sequence; those beyond a bundle's context are
  /// left out of it.
  std::vector<int64_t> rows{1, 4, 16, 64, 128, 512, 2048};
  /// Tokens in the cache of decode steps.
  std::vector<int64_t> cached{128, 512};
  int repeats = 5;
  /// Told what is running; may be empty.
  std::function<void(const std::string &)> progress;
};

Status calibrate(Machine &machine, const CalibrateOptions &options);

} // namespace coppice::rt

#endif
