// Runs two bundles of one model on the same ragged steps and compares them: the
// fast path against the oracle.
#ifndef COPPICE_RUNTIME_VERIFY_VERIFY_H
#define COPPICE_RUNTIME_VERIFY_VERIFY_H

#include "runtime/base/status.h"
#include "runtime/verify/report.h"
#include "runtime/verify/workload.h"

#include <string>

namespace coppice::rt {

struct CompareOptions {
  WorkloadOptions workload; ///< `vocabulary` is taken from the bundle
  int threads = 0;          ///< 0: as many as this process may use
  /// Of the fast bundle; empty: the first that this machine can run. The
  /// oracle's code is always that.
  std::string target, isa;
  /// Who decides which rows are kept (runtime/routes/route_source.h); empty: a
  /// mix that differs from step to step and from route to route.
  std::string routes;
};

/// Compares every named value that both programs compute, and the logits. Rows
/// that a route has passed over and whose result is undefined are left out.
/// Errors: a bundle that does not load or does not hold the workload, a program
/// without values in common.
Result<VerifyReport> compareBundles(const std::string &fastPath,
                                    const std::string &oraclePath,
                                    const CompareOptions &options);

} // namespace coppice::rt

#endif
