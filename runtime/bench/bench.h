// One or two bundles and a list of cells come in; for each cell the prediction
// goes out, then the measurement beside it.
//
// Dense and pruned alternate, so that drift of the machine meets both: repeats
// come in blocks ABBA or BAAB (drawn at random), each block being two pairs;
// both sides of a pair get the same fresh tokens. Before each repeat the caches
// are flushed, unless `hot`. docs/measuring.md says what every figure means.
#ifndef COPPICE_RUNTIME_BENCH_BENCH_H
#define COPPICE_RUNTIME_BENCH_BENCH_H

#include "runtime/bench/gap.h"
#include "runtime/bench/measured_side.h"
#include "runtime/bench/peers_file.h"
#include "runtime/bench/statistics.h"
#include "runtime/costmodel/advice.h"
#include "runtime/costmodel/estimate.h"

#include <functional>
#include <optional>

namespace coppice::rt {

struct BenchOptions {
  std::string pruned, dense; ///< bundles; dense may be empty
  std::string target;        ///< empty: the first that this machine can run
  std::vector<Phase> phases{Phase::Prefill, Phase::Decode};
  std::vector<int64_t> batches{1}, seqs{128};
  int threads = 0;  ///< 0: as many as are usable
  bool pin = false; ///< each thread on a CPU of its own
  bool ops = false, hot = false;
  /// Measure the curves of the dense bundle's kernels (with one bundle, of its
  /// own) before predicting, instead of those of the machine description.
  bool calibrate = false;
  /// Measure although the bundles are not comparable; the record says so.
  bool force = false;
  int64_t maxRepeats = 200; ///< pairs in a cell
  double maxSeconds = 10;   ///< in a cell, flushes included
  uint64_t seed = 1;
  /// Who decides which rows are kept (route_source.h); empty: chance, with what
  /// each route expects.
  std::string routes;
};

/// One side of a cell: prediction before, measurement after.
struct SideResult {
  std::string path, sha256;
  Estimate estimate;
  Summary seconds;
  /// Of each dispatch the median; of one with a route the mean, for it is a
  /// matter of its masks, and with one row all or nothing.
  std::vector<double> dispatchSeconds;
  double hostSeconds = 0; ///< median, of a step outside of its dispatches
  Gap gap;                ///< of `seconds.mean` to the bound
  std::vector<RouteCount> routes;         ///< of the timed repeats
  std::vector<RouteCount> observedRoutes; ///< of those of `dispatchSeconds`

  /// Share of rows that all routes together have kept; NaN without any.
  double density() const;
  coppice_memory memory{};
};

struct CellResult {
  Cell cell;
  std::optional<SideResult> dense;
  SideResult pruned;
  Interval speedupInterval{}; ///< of dense / pruned
  /// The interval (with one bundle: that of its mean) is within 1 %.
  bool converged = false;
  double amdahl = 0;
  /// Where pruning is predicted to cost more than it saves in this cell; empty
  /// without a dense side.
  std::vector<Advice> advice;
  /// What the bounds are made of: the machine description's best rates, or
  /// better ones that were seen in this run.
  Rates boundCeilings{};
  /// The median of what was seen while this cell was measured. Where it is far
  /// from the context's `predictionRates`, the machine has drifted.
  Rates measuredRates{};

  // Figures made from those above; NaN without a dense side.
  double measuredSpeedup() const;
  double predictedSpeedup() const;
  double idealSpeedup() const;
  double boundSpeedup() const;
  /// "pruned mean 1.2e-4 s is below its bound 1.3e-4 s", one for each side and
  /// dispatch that beats its bound. Empty where all is well.
  std::vector<std::string> beatenBounds() const;
};

/// What is equal in all cells of a run.
struct BenchContext {
  const BenchOptions *options = nullptr;
  const Machine *machine = nullptr;
  const Program *dense = nullptr, *pruned = nullptr;
  std::string target, isa, date, predictionsSha256;
  std::string router; ///< the source of decisions; empty: no bundle has routes
  int threads = 1;
  /// What predictions are made of: the median of looks at the start of the run.
  Rates predictionRates{};
  /// What the curves are that predictions rest on: the worst of all cells and
  /// sides, and what one can do about it, for people; empty if nothing.
  CurveState curves = CurveState::Measured;
  std::string curvesRemark;
  /// How dense kernels compare with other libraries' on this machine.
  std::optional<PeerComparison> denseVsPeer;
  std::vector<std::string> differences; ///< between the bundles, with force
  /// Of all cells, for people: where not to prune.
  std::vector<std::string> advice;
};

/// Which of `sides` runs when, in a block of two pairs: one pair in one order,
/// the next in the reverse, so that what drifts steadily meets all alike. Which
/// begins is drawn.
std::vector<size_t> drawBlock(size_t sides, std::mt19937_64 &random);

class BenchListener {
public:
  virtual ~BenchListener() = default;
  /// All predictions, before anything is timed.
  virtual Status predicted(const BenchContext &context,
                           const std::string &predictionsJson) = 0;
  virtual void progress(const Cell &cell, int64_t pairs) = 0;
  /// What is being calibrated.
  virtual void calibrating(const std::string &) {}
  virtual Status measured(const BenchContext &context,
                          const CellResult &result) = 0;
};

/// Refuses bundles whose source hash, dtype, target or threads differ.
Status runBench(const BenchOptions &options, const Machine &machine,
                BenchListener &listener);

} // namespace coppice::rt

#endif
