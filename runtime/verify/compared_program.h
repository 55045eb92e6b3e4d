// One side of a comparison: a bundle with a session, and which values of its
// program have names that the other side may have too.
#ifndef COPPICE_RUNTIME_VERIFY_COMPARED_PROGRAM_H
#define COPPICE_RUNTIME_VERIFY_COMPARED_PROGRAM_H

#include "runtime/evaluate/runner.h"
#include "runtime/verify/workload.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace coppice::rt {

/// What a comparison needs of the result of one dispatch.
struct ComparedValue {
  std::string name;             ///< empty: nothing to compare
  std::vector<int64_t> columns; ///< of the dense value; empty: all
  bool keepsColumnsOnly = true; ///< false: kept along an axis other than 1
  /// Route that leaves rows of it undefined, or groups of columns of rows; with
  /// `passed`, those that it keeps.
  std::optional<int64_t> partialRoute;
  bool passed = false;
  std::optional<double> threshold; ///< what is smaller is zero
  bool isList = false; ///< of blocks: integers, which the oracle takes over
};

class ComparedProgram {
public:
  /// Opens a bundle for a workload; `options` name the code and the threads.
  /// Failures name the bundle; limits that do not hold the workload are an
  /// invalid argument.
  static Result<ComparedProgram> open(const std::string &path,
                                      RunnerOptions options,
                                      const WorkloadOptions &workload);

  const Program &program() const { return runner.program(); }
  /// Columns of decisions in a step.
  int64_t columns() const { return program().routeColumns; }
  /// Does a threshold decide which blocks it attends to?
  bool dropsBlocks() const;
  /// Dispatches that run no kernel of the generic lowering.
  int64_t fastKernels() const;

  Runner runner;
  std::vector<ComparedValue> values; ///< by dispatch
};

} // namespace coppice::rt

#endif
