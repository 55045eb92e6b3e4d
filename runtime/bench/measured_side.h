// One bundle in a comparison: runs the steps of a cell and times them.
#ifndef COPPICE_RUNTIME_BENCH_MEASURED_SIDE_H
#define COPPICE_RUNTIME_BENCH_MEASURED_SIDE_H

#include "runtime/bench/cache_flush.h"
#include "runtime/costmodel/work.h"
#include "runtime/evaluate/runner.h"

#include <random>
#include <utility>

namespace coppice::rt {

/// Rows with random ids for each step of a cell: what both sides of a pair run.
std::vector<StepRows> randomInputs(const std::vector<StepShape> &steps,
                                   int64_t vocabulary, std::mt19937_64 &random);

/// Program facts of a bundle, without loading its code or weights.
Result<Program> readProgram(const std::string &path);

/// What a session must have room for.
struct SideRequest {
  int64_t batch = 1, seq = 1; ///< the greatest of all cells
  bool decode = false;        ///< one token more
  std::string target;
  int threads = 0;
  bool pin = false;
};

/// Where the time of one observed run of a cell's steps went.
struct ObservedTimes {
  std::vector<double> dispatches; ///< seconds, in the program's order
  /// Before the first dispatch and after the last: inputs in, logits out.
  double host = 0;
};

/// What was kept of one route in timed runs.
struct RouteCount {
  int64_t kept = 0, rows = 0;             ///< rows times groups
  int64_t touched = 0, opportunities = 0; ///< steps times groups; with some row

  double density() const { return double(kept) / double(rows); }
  /// As an estimate takes it. Of caches only the least is known: as large a
  /// share of sequences as of rows.
  RouteLoad load() const {
    return {density(), double(touched) / double(opportunities), density()};
  }
};

class MeasuredSide {
public:
  static Result<MeasuredSide> open(const std::string &path,
                                   const Program &program,
                                   const SideRequest &request);

  const Runner &runner() const { return model; }
  const Program &program() const { return model.program(); }
  /// The instruction set of the code that runs: "avx2", "avx512",
  /// "avx512_bf16", "amx_bf16".
  const std::string &isa() const { return isaName; }

  /// Takes decisions from a source (route_source.h); without one the routers
  /// decide.
  Status routeBy(const std::string &spec) { return model.routeBy(spec); }
  /// Another draw of masks, where they are drawn.
  void renewRoutes(uint64_t round) {
    if (model.routes())
      model.routes()->renew(round);
  }
  /// The load of each route that the source announces.
  std::vector<RouteLoad> announcedLoads() const;
  /// Of each route, in the runs of time() since they were reset; empty for a
  /// program without routes.
  const std::vector<RouteCount> &routeCounts() const { return counts; }
  void resetRouteCounts() { counts.assign(program().routes.size(), {}); }
  /// Goes on with `other`, counts of this side; gives those so far.
  std::vector<RouteCount> exchangeRouteCounts(std::vector<RouteCount> other) {
    return std::exchange(counts, std::move(other));
  }

  /// Brings the session to where the cell begins: for decode, `seq` tokens in
  /// each of `batch` slots. Prefill starts its slots afresh by itself.
  Status prepare(const Cell &cell, std::mt19937_64 &random);

  /// Seconds that the steps take; they start from what prepare() made. The
  /// caches are flushed before the first step unless `flush` is null.
  Result<double> time(const Cell &cell, const std::vector<StepRows> &inputs,
                      const CacheFlush *flush);

  /// The same with a clock around each dispatch, summed over the steps.
  Result<ObservedTimes> timeDispatches(const Cell &cell,
                                       const std::vector<StepRows> &inputs,
                                       const CacheFlush *flush);

private:
  Status flushCaches(const CacheFlush *flush);
  explicit MeasuredSide(Runner runner);
  Status begin(const Cell &cell);
  Result<std::vector<StepRows>> decide(std::vector<StepRows> inputs);
  Status countRoutes(const StepRows &rows);

  Runner model;
  std::string isaName;
  std::vector<float> logits;
  std::vector<RouteCount> counts;
};

} // namespace coppice::rt

#endif
