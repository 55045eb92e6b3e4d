// What thresholds have decided: which small values are zero.
//
// A value beside its threshold rounds to either side of it, and a value that is
// zero in one program alone is an error of that size in all that follows. So
// the oracle takes over which values of the fast program are zero, and where it
// had decided otherwise itself is held against the threshold.
#ifndef COPPICE_RUNTIME_VERIFY_THRESHOLDS_H
#define COPPICE_RUNTIME_VERIFY_THRESHOLDS_H

#include <cstdint>

namespace coppice::rt {

struct ThresholdsReport {
  int64_t values = 0; ///< that were held against one, in all steps
  /// Values that are zero in one of the programs alone, and the largest
  /// distance of the other's from the threshold, over the root mean square of
  /// the row or over the threshold, whichever is larger.
  int64_t disagreements = 0;
  double largestMargin = 0;
  double tolerance = 0; ///< on that margin: below it rounding may decide
  bool holds() const { return largestMargin <= tolerance; } // false for NaN
};

/// Takes over what was decided of one value: where it is zero in one program
/// alone, the oracle's becomes the fast program's. `scale`: what a distance
/// from the threshold is over.
void takeDecision(ThresholdsReport &report, double threshold, double scale,
                  float fast, float &oracle);

/// Of type coppice_value_editor, for the oracle, with a Comparison as context.
void takeThresholds(void *context, int64_t dispatch, float *data,
                    const int64_t *shape, int64_t rank);

} // namespace coppice::rt

#endif
