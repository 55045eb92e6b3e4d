// One bundle in a comparison: runs the steps of a cell and times them.
#ifndef COPPICE_RUNTIME_BENCH_MEASURED_SIDE_H
#define COPPICE_RUNTIME_BENCH_MEASURED_SIDE_H

#include "runtime/bench/cache_flush.h"
#include "runtime/costmodel/work.h"
#include "runtime/evaluate/runner.h"

#include <random>

namespace coppice::rt {

/// Rows with random ids for each step of a cell: what both sides of a pair run.
std::vector<StepRows> randomInputs(const std::vector<StepShape> &steps,
                                   int64_t vocabulary, std::mt19937_64 &random);

class MeasuredSide {
public:
  static Result<MeasuredSide> open(const std::string &path,
                                   const RunnerOptions &options);

  const Runner &runner() const { return model; }
  const Program &program() const { return model.program(); }

  /// Brings the session to where the cell begins: for decode, `seq` tokens in
  /// each of `batch` slots. Prefill starts its slots afresh by itself.
  Status prepare(const Cell &cell, std::mt19937_64 &random);

  /// Seconds that the steps take; they start from what prepare() made. The
  /// caches are flushed before the first step unless `flush` is null.
  Result<double> time(const Cell &cell, const std::vector<StepRows> &inputs,
                      const CacheFlush *flush);

  /// The same with a clock around each dispatch: seconds of each, in the
  /// program's order, summed over the steps.
  Result<std::vector<double>>
  timeDispatches(const Cell &cell, const std::vector<StepRows> &inputs,
                 const CacheFlush *flush);

private:
  explicit MeasuredSide(Runner runner) : model(std::move(runner)) {}

  Runner model;
  std::vector<float> logits;
};

} // namespace coppice::rt

#endif
