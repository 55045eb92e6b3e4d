// What a comparison of two programs has come to.
#ifndef COPPICE_RUNTIME_VERIFY_REPORT_H
#define COPPICE_RUNTIME_VERIFY_REPORT_H

#include "runtime/verify/block_lists.h"
#include "runtime/verify/thresholds.h"

#include <cstdint>
#include <string>
#include <vector>

namespace coppice::rt {

/// How far a value of the fast program is from the oracle's.
struct ValueError {
  std::string name; ///< "logits", or the value's name: "layers.3.mlp.down"
  /// max over rows of ||fast - oracle||_2 / ||oracle||_2; where the oracle's
  /// row is zero, ||fast||_2. NaN where either side has one.
  double error = 0;
  double tolerance = 0;
  int64_t rows = 0;                                 ///< rows compared
  bool holds() const { return error <= tolerance; } // false for NaN

  /// Takes in the error of more rows.
  void add(double more, int64_t moreRows);
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
  ThresholdsReport thresholds;
  /// Blocks of little weight are dropped: what is near its threshold may fall
  /// on the other side of it, which in 16 bit happens.
  bool dropsBlocks = false;
  bool holds() const;
};

} // namespace coppice::rt

#endif
