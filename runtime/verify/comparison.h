// The state of a run of two programs, which what watches them shares: of the
// present step the fast program's values and the decisions, of all steps the
// report.
#ifndef COPPICE_RUNTIME_VERIFY_COMPARISON_H
#define COPPICE_RUNTIME_VERIFY_COMPARISON_H

#include "runtime/verify/compared_program.h"
#include "runtime/verify/report.h"
#include "runtime/verify/row_error.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

/// A value of the fast program in the present step, and what came of it.
struct Kept {
  const ComparedValue *value;
  Table found;
  std::optional<double> error; ///< none: the oracle has not computed it
  int64_t compared = 0;        ///< rows
};

/// What the oracle's router says in the present step: [rows, 2 groups].
struct Scores {
  Table found;
  bool seen = false;
};

/// The norm of the scores of a row, on the mean of all rows so far. Two scores
/// of a row may both be near zero by chance, and their rounding errors are
/// those of any row: so no row counts as smaller than this.
struct ScoreScale {
  double squares = 0;
  int64_t rows = 0;

  void add(const Table &scores);
  double norm() const;
};

/// The oracle's scores of blocks: [rows, KV heads * blocks].
struct BlockScores {
  Table found;
  int64_t blocks = 0; ///< of each head
};

template <typename T> using ByName = std::map<std::string, T, std::less<>>;

struct Comparison {
  Comparison(const ComparedProgram &fast, const ComparedProgram &oracle);

  /// Forgets the values of the last step.
  void beginStep();
  /// Puts the errors of the step's values into the report.
  void recordValues();
  /// Keeps what is wrong with the programs; the first such thing counts.
  void fault(std::string what);
  /// Is this element of what the fast program computes undefined?
  bool isLeftOut(const ComparedValue &value, int64_t row, int64_t column) const;
  /// The fast program's values of that name, as indices into `kept`; null:
  /// there is none.
  const std::vector<size_t> *findKept(std::string_view name) const;

  const ComparedProgram &fast, &oracle;
  double tolerance; ///< of each value
  VerifyReport report;
  std::string problem;            ///< first structural mismatch
  std::vector<ScoreScale> scales; ///< by route

  // Of the present step:
  std::vector<Kept> kept; ///< in program order
  ByName<std::vector<size_t>> keptByName;
  std::vector<int8_t> given, masks; ///< [rows, route columns]
  std::vector<Scores> scores;       ///< by route
  ByName<BlockScores> blockScores;

private:
  ByName<size_t> sites; ///< into report.sites
};

} // namespace coppice::rt

#endif
