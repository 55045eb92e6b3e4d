// Runs two bundles of one model on the same ragged steps and compares them: the
// fast path against the oracle.
#pragma once

#include "coppice/Verify/BlockLists.h"
#include "coppice/Verify/Workload.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace coppice {

/// How far a value of the fast program is from the oracle's.
struct ValueError {
  std::string name; ///< "logits", or the value's name: "layers.3.mlp.down"
  /// max over rows of ||fast - oracle||_2 / ||oracle||_2; where the oracle's
  /// row is zero, ||fast||_2. NaN where either side has one.
  double error = 0;
  double tolerance = 0;
  int64_t rows = 0;                                 ///< rows compared
  bool holds() const { return error <= tolerance; } // false for NaN
};

/// What routers and masks have come to. Both programs take the fast one's
/// decisions; those that its routers made are held against the oracle's scores.
struct RouteReport {
  int64_t routes = 0;
  /// Of all rows that routes saw (times groups, in all steps): those kept, and
  /// those that a router decided, not the test.
  int64_t rows = 0, kept = 0, decided = 0;
  /// Decisions of routers that are not the argmax of the oracle's scores, and
  /// the largest |s0 - s1| / ||scores of the row|| among them.
  int64_t disagreements = 0;
  double largestMargin = 0;
  double tolerance = 0; ///< on that margin: below it rounding may decide
  bool holds() const { return largestMargin <= tolerance; } // false for NaN
};

struct VerifyReport {
  int64_t fastKernels = 0, dispatches = 0;
  /// Logits: against the oracle, and of the fast program's steps against its
  /// own computation of each sequence from scratch.
  std::vector<ValueError> outputs;
  std::vector<ValueError> sites; ///< in program order
  RouteReport routes;
  BlocksReport blocks;
  int64_t steps = 0, rows = 0;
  /// Small inputs become zero, or blocks of little weight are dropped: what is
  /// near its threshold may fall on the other side of it, which in 16 bit
  /// happens.
  bool hasThresholds = false;
  bool holds() const;
};

struct CompareOptions {
  WorkloadOptions workload; ///< `vocabulary` is taken from the bundle
  int threads = 0;          ///< 0: as many as this process may use
  std::string isa;          ///< of the fast bundle; empty: the best
  /// Who decides which rows are kept (runtime/routes/route_source.h); empty: a
  /// mix that differs from step to step and from route to route.
  std::string routes;
};

/// Tolerance on ||e||/||ref|| per row by the model's storage type: 1e-4 for
/// f32; 2e-2 for f16, where a cache entry may round the other way; 3e-2 for
/// bf16, where attention also rounds the weights of its sums, by up to 2^-9
/// each. What a program stores in bf16 its oracle rounds as well (compile
/// --round-like).
double verifyTolerance(llvm::StringRef dtype);

/// Compares every named value that both programs compute, and the logits. Rows
/// that a route has passed over and whose result is undefined are left out.
/// Errors: a bundle that does not load, a program without values in common.
llvm::Expected<VerifyReport> compareBundles(llvm::StringRef fastPath,
                                            llvm::StringRef oraclePath,
                                            const CompareOptions &options);

} // namespace coppice
