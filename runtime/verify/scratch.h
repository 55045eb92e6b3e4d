// Logits that came step by step, through the cache, against those of the same
// sequences computed from scratch, each whole, by the same program.
#ifndef COPPICE_RUNTIME_VERIFY_SCRATCH_H
#define COPPICE_RUNTIME_VERIFY_SCRATCH_H

#include "runtime/verify/comparison.h"

#include <span>
#include <vector>

namespace coppice::rt {

/// All rows that a program was fed so far, and what came of them.
struct Fed {
  StepRows rows; ///< with what was decided of each; every one is a head row
  std::vector<float> logits;              ///< [rows, vocabulary]
  ByName<std::vector<float>> lists;       ///< of blocks, [rows, width]
  ByName<std::vector<float>> thresholded; ///< [rows, width]

  /// Appends a step: its rows, with the masks, the values that are lists and
  /// those that a threshold has made zero in part.
  void add(const StepRows &step, std::span<const float> stepLogits,
           std::span<const Kept> values);
};

/// Feeds the program all sequences afresh, in one step, with the decisions and
/// the lists that it has made before, and the zeros.
Result<ValueError> compareWithScratch(ComparedProgram &fast, const Fed &fed,
                                      double tolerance);

} // namespace coppice::rt

#endif
