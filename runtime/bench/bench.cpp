// See bench.h.
#include "runtime/bench/bench.h"

#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/base/sha256.h"
#include "runtime/bench/calibrate.h"
#include "runtime/bench/host.h"
#include "runtime/bench/probe.h"
#include "runtime/costmodel/machine_json.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <thread>

namespace coppice::rt {

constexpr double notANumber = std::numeric_limits<double>::quiet_NaN();

double SideResult::density() const {
  double kept = 0, rows = 0;
  for (const RouteCount &route : routes) {
    kept += static_cast<double>(route.kept);
    rows += static_cast<double>(route.rows);
  }
  return rows > 0 ? kept / rows : notANumber;
}

double CellResult::measuredSpeedup() const {
  return dense ? dense->seconds.mean / pruned.seconds.mean : notANumber;
}

double CellResult::predictedSpeedup() const {
  return dense ? dense->estimate.predictedSeconds /
                     pruned.estimate.predictedSeconds
               : notANumber;
}

double CellResult::idealSpeedup() const {
  return dense ? dense->estimate.boundSeconds / pruned.estimate.boundSeconds
               : notANumber;
}

double CellResult::boundSpeedup() const {
  return dense ? dense->seconds.mean / pruned.estimate.boundSeconds
               : notANumber;
}

std::vector<std::string> CellResult::beatenBounds() const {
  std::vector<std::string> beaten;
  auto check = [&](const char *name, const SideResult &side) {
    auto compare = [&](const std::string &what, double time, double bound) {
      if (time < bound)
        beaten.push_back(concat(name, " ", what, " took ", time,
                                " s, less than its bound of ", bound, " s"));
    };
    compare("step", side.seconds.mean, side.estimate.boundSeconds);
    for (size_t i = 0; i < side.dispatchSeconds.size(); ++i)
      compare(concat("dispatch ", i), side.dispatchSeconds[i],
              side.estimate.dispatches[i].boundSeconds);
  };
  if (dense)
    check("dense", *dense);
  check("pruned", pruned);
  return beaten;
}

namespace {

/// The two bundles (or one) and the steps of each cell.
struct Run {
  const BenchOptions &options;
  Machine machine; ///< as described, or with fresh curves
  BenchListener &listener;
  std::optional<MeasuredSide> dense, pruned;
  std::optional<CacheFlush> flush;
  BenchContext context;
  std::vector<Cell> cells;
  /// With this run's typical rates: what predictions are made from.
  Machine now;
  /// The best rates seen while this run goes on.
  Rates best;
  std::vector<Rates> looks{}; ///< while the present cell is measured

  /// Rates are those of the CPU: of another device the description is all that
  /// is known.
  bool canLook() const { return context.target == "cpu"; }

  /// Null: the caches stay as they are.
  const CacheFlush *flusher() const { return options.hot ? nullptr : &*flush; }
};

} // namespace

static Status checkOptions(const BenchOptions &options) {
  if (options.phases.empty() || options.batches.empty() || options.seqs.empty())
    return invalidArgument("expected at least one phase, batch and seq");
  if (options.maxRepeats < 2)
    return invalidArgument(
        concat("max-repeats: expected 2 or more, found ", options.maxRepeats));
  if (!(options.maxSeconds > 0))
    return invalidArgument("max-seconds: expected more than 0");
  if (options.threads < 0)
    return invalidArgument("threads: expected 0 or more");
  return {};
}

static std::vector<std::string> differences(const Program &dense,
                                            const Program &pruned) {
  std::vector<std::string> found;
  auto compare = [&](const char *what, const auto &a, const auto &b) {
    if (a != b)
      found.push_back(concat(what, " (dense ", a, ", pruned ", b, ")"));
  };
  compare("source_sha256", dense.model.sourceSha256, pruned.model.sourceSha256);
  compare("dtype", dense.model.dtype, pruned.model.dtype);
  auto names = [](const Program &program) {
    std::string all;
    for (const Target &target : program.targets) {
      all += (all.empty() ? "" : ",") + target.name;
      for (const std::string &feature : target.requires_)
        all += "+" + feature;
    }
    return all;
  };
  compare("targets", names(dense), names(pruned));
  return found;
}

static Result<MeasuredSide> openSide(const std::string &path,
                                     const Program &program,
                                     const BenchOptions &options) {
  SideRequest request;
  request.batch =
      *std::max_element(options.batches.begin(), options.batches.end());
  request.seq = *std::max_element(options.seqs.begin(), options.seqs.end());
  request.decode = std::find(options.phases.begin(), options.phases.end(),
                             Phase::Decode) != options.phases.end();
  request.target = options.target;
  request.threads = options.threads;
  request.pin = options.pin;
  return MeasuredSide::open(path, program, request);
}

/// The decisions of both sides: one source, so that where both have a route
/// they keep the same rows of it.
static Status takeRoutes(Run &run) {
  const std::string &asked = run.options.routes;
  run.context.router =
      asked.empty() ? concat("bernoulli:expected:", run.options.seed) : asked;
  bool any = false;
  for (std::optional<MeasuredSide> *side : {&run.dense, &run.pruned}) {
    if (!*side || (*side)->program().routes.empty())
      continue;
    any = true;
    if (Status status = (*side)->routeBy(run.context.router); !status.ok())
      return status;
  }
  if (any)
    return {};
  run.context.router.clear();
  return asked.empty() ? Status() : run.pruned->routeBy(asked);
}

static Result<Estimate> estimateCell(const Run &run, const MeasuredSide &side,
                                     const Cell &cell, const Machine &machine,
                                     const std::vector<RouteLoad> &loads) {
  auto steps = planSteps(cell, side.runner().maxRows(), side.runner().slots(),
                         side.runner().context());
  if (!steps)
    return steps.status();
  return estimate(side.program(), *steps, machine, side.isa(),
                  run.context.threads, run.options.hot, loads);
}

/// How the curves are, over all cells, into the context.
static void judgeCurves(Run &run, const std::vector<CellResult> &results) {
  BenchContext &context = run.context;
  auto judge = [&](const MeasuredSide &side, const SideResult &figures) {
    CurveState state = curveStateOf(side.program(), figures.estimate, run.now,
                                    context.isa, context.threads);
    if (state <= context.curves)
      return;
    context.curves = state;
    const std::string &bundle =
        run.dense ? run.options.dense : run.options.pruned;
    std::string which =
        state == CurveState::Assumed ? "that are assumed, not measured"
        : state == CurveState::Unlike
            ? "that were measured with other arithmetic, instructions or "
              "threads"
            : concat("that were measured with code of another compiler than ",
                     quote(side.program().producer));
    context.curvesRemark =
        concat("predictions rest on curves ", which,
               ": --calibrate measures those of this run, `coppice-run probe "
               "--calibrate ",
               bundle, "` those of the machine description");
  };
  for (const CellResult &result : results) {
    if (run.dense)
      judge(*run.dense, *result.dense);
    judge(*run.pruned, result.pruned);
  }
}

/// Estimates every cell and tells the listener, before anything runs.
static Result<std::vector<CellResult>> predictCells(Run &run) {
  std::vector<CellResult> results;
  Json cells = Json::array();
  for (const Cell &cell : run.cells) {
    CellResult result;
    result.cell = cell;
    Json entry = {{"phase", nameOf(cell.phase)},
                  {"batch", cell.batch},
                  {"seq", cell.seq}};
    auto fill = [&](const MeasuredSide &side, const std::string &name,
                    SideResult &out) -> Status {
      Result<Estimate> made =
          estimateCell(run, side, cell, run.now, side.announcedLoads());
      if (!made)
        return made.status();
      out.path = side.runner().path();
      out.sha256 = side.runner().sha256();
      out.memory = side.runner().memory();
      out.estimate = *std::move(made);
      entry[name + "_bundle_sha256"] = out.sha256;
      entry[name + "_predicted_s"] = out.estimate.predictedSeconds;
      entry[name + "_bound_s"] = out.estimate.boundSeconds;
      if (!side.program().routes.empty())
        entry[name + "_router"] = run.context.router;
      return {};
    };
    if (run.dense)
      if (Status status = fill(*run.dense, "dense", result.dense.emplace());
          !status.ok())
        return status;
    if (Status status = fill(*run.pruned, "pruned", result.pruned);
        !status.ok())
      return status;
    if (run.dense) {
      result.advice =
          adviseAgainst(*run.context.dense, result.dense->estimate,
                        *run.context.pruned, result.pruned.estimate);
      int64_t rows =
          cell.phase == Phase::Decode ? cell.batch : cell.batch * cell.seq;
      for (std::string &line :
           describeAdvice(result.advice, *run.context.pruned, rows))
        if (std::vector<std::string> &lines = run.context.advice;
            std::find(lines.begin(), lines.end(), line) == lines.end())
          lines.push_back(std::move(line));
    }
    cells.push_back(entry);
    results.push_back(std::move(result));
  }
  judgeCurves(run, results);
  Json predictions = {
      {"schema", "coppice.predictions/1"},
      {"date", run.context.date},
      {"machine_sha256", run.machine.sha256()},
      {"prediction_ceilings", ratesJson(run.context.predictionRates)},
      {"curves", nameOf(run.context.curves)},
      {"isa", run.context.isa},
      {"threads", run.context.threads},
      {"cache", run.options.hot ? "hot" : "cold"},
      {"cells", cells}};
  std::string text = predictions.dump();
  run.context.predictionsSha256 = sha256(std::string_view(text));
  if (Status status = run.listener.predicted(run.context, text); !status.ok())
    return status;
  return results;
}

/// Is the interval of what is measured within 1 %?
static bool isTight(const std::vector<double> &dense,
                    const std::vector<double> &pruned, bool paired,
                    uint64_t seed) {
  // Fewer say little about the tails that the interval is made of.
  constexpr size_t leastPairs = 10;
  constexpr double wanted = 0.01;
  if (pruned.size() < leastPairs)
    return false;
  std::vector<double> ones(pruned.size(), 1.0);
  std::span<const double> above = paired ? dense : pruned;
  std::span<const double> below = paired ? pruned : ones;
  double center = summarize(above).mean / summarize(below).mean;
  return bootstrapRatio(above, below, seed).relativeHalfWidth(center) <= wanted;
}

/// Looks at the rates once more. Not while caches are to stay hot: a look
/// empties them.
static void lookAtCeilings(Run &run) {
  if (run.options.hot || !run.canLook())
    return;
  Look seen =
      lookAtRates(run.flush->stream(), run.context.threads, run.context.isa);
  run.best.raise(seen.best);
  run.looks.push_back(seen.typical);
}

/// What the machine typically does just now: it may be another figure than when
/// it was probed, since others use the machine too. Looks are apart, so that
/// one short disturbance does not decide.
static void lookBeforePredicting(Run &run) {
  if (!run.canLook()) {
    run.now = run.machine;
    run.context.predictionRates = run.machine.at(run.context.threads).typical;
    return;
  }
  constexpr int64_t most = 25;
  constexpr std::chrono::milliseconds pause(40);
  int64_t looks = std::min(run.options.maxRepeats, most);
  std::vector<Rates> seen;
  for (int64_t i = 0; i < looks; ++i) {
    if (i > 0)
      std::this_thread::sleep_for(pause);
    Look look =
        lookAtRates(run.flush->stream(), run.context.threads, run.context.isa);
    seen.push_back(look.typical);
    run.best.raise(look.best);
  }
  run.context.predictionRates = medianOf(seen);
  run.now = run.machine;
  run.now.at(run.context.threads).typical.replace(run.context.predictionRates);
}

/// A shared machine can do more in one second than in another, and a bound is
/// made of what it can do at most: bounds take the best of the description and
/// of what this run has seen, and of the work on the rows that it has kept.
/// Predictions stay as they were written.
static Status tightenBounds(const Run &run, CellResult &result) {
  Machine machine = run.machine;
  Rates &best = machine.at(run.context.threads).best;
  best.raise(run.best);
  result.boundCeilings = best;
  result.measuredRates =
      run.looks.empty() ? run.context.predictionRates : medianOf(run.looks);
  auto tighten = [&](const MeasuredSide &side, SideResult &figures) -> Status {
    auto estimate = [&](const std::vector<RouteCount> &routes) {
      std::vector<RouteLoad> loads;
      for (const RouteCount &route : routes)
        loads.push_back(route.load());
      return estimateCell(run, side, result.cell, machine, loads);
    };
    auto raised = estimate(figures.routes);
    if (!raised)
      return raised.status();
    // Single dispatches were timed in other repeats than whole steps.
    auto observed = estimate(figures.observedRoutes);
    if (!observed)
      return observed.status();
    figures.estimate.total = raised->total;
    figures.estimate.boundSeconds = raised->boundSeconds;
    for (size_t i = 0; i < raised->dispatches.size(); ++i) {
      DispatchEstimate &told = figures.estimate.dispatches[i];
      told.boundSeconds = observed->dispatches[i].boundSeconds;
      told.work = raised->dispatches[i].work;
      told.executedRows = raised->dispatches[i].executedRows;
    }
    figures.gap =
        attributeGap(side.program(), figures.estimate, figures.seconds.mean,
                     figures.dispatchSeconds, figures.hostSeconds,
                     run.machine.at(run.context.threads).dispatchSeconds);
    return {};
  };
  if (run.dense)
    if (Status status = tighten(*run.dense, *result.dense); !status.ok())
      return status;
  return tighten(*run.pruned, result.pruned);
}

std::vector<size_t> drawBlock(size_t sides, std::mt19937_64 &random) {
  std::vector<size_t> order(2 * sides);
  std::iota(order.begin(), order.begin() + sides, 0);
  if (random() % 2)
    std::reverse(order.begin(), order.begin() + sides);
  std::reverse_copy(order.begin(), order.begin() + sides,
                    order.begin() + sides);
  return order;
}

namespace {
/// Observed repeats of one side so far.
class ObservedSamples {
public:
  void add(const ObservedTimes &times) {
    dispatches.resize(times.dispatches.size());
    for (size_t d = 0; d < dispatches.size(); ++d)
      dispatches[d].push_back(times.dispatches[d]);
    host.push_back(times.host);
  }
  size_t count() const { return host.size(); }

  /// Medians: a few repeats do not bear one that was interrupted. But what
  /// differs by its masks is met by its mean alone.
  void fill(SideResult &figures, const Program &program) const {
    for (size_t d = 0; d < dispatches.size(); ++d)
      figures.dispatchSeconds.push_back(
          program.dispatches[d].route
              ? std::accumulate(dispatches[d].begin(), dispatches[d].end(),
                                0.0) /
                    static_cast<double>(dispatches[d].size())
              : quantile(dispatches[d], 0.5));
    figures.hostSeconds = quantile(host, 0.5);
  }

private:
  std::vector<std::vector<double>> dispatches; ///< by dispatch
  std::vector<double> host;
};
} // namespace

static Status measureCell(Run &run, CellResult &result) {
  const BenchOptions &options = run.options;
  const Cell &cell = result.cell;
  auto steps =
      planSteps(cell, run.pruned->runner().maxRows(),
                run.pruned->runner().slots(), run.pruned->runner().context());
  if (!steps)
    return steps.status();
  int64_t vocabulary = run.pruned->runner().vocabulary();
  std::mt19937_64 random(options.seed);
  run.looks.clear();

  std::vector<MeasuredSide *> sides;
  if (run.dense)
    sides.push_back(&*run.dense);
  sides.push_back(&*run.pruned);
  for (MeasuredSide *side : sides) {
    // Both caches hold the same tokens.
    std::mt19937_64 same(options.seed ^ 0x9E3779B97F4A7C15u);
    if (Status status = side->prepare(cell, same); !status.ok())
      return status;
    auto warmUp = randomInputs(*steps, vocabulary, random);
    for (int i = 0; i < 2; ++i)
      if (auto time = side->time(cell, warmUp, nullptr); !time)
        return time.status();
    side->resetRouteCounts();
  }
  // Fresh masks, too: both sides of a pair get the same.
  uint64_t round = 0;
  auto renewMasks = [&] {
    ++round;
    for (MeasuredSide *side : sides)
      side->renewRoutes(round);
  };

  // Repeats with clocks around each dispatch are others, because those clocks
  // take time; they come between the blocks, so that drift meets both kinds.
  constexpr size_t observedMost = 5, observedLeast = 3;
  std::vector<ObservedSamples> observed(sides.size());
  std::vector<std::vector<RouteCount>> observedRoutes;
  for (MeasuredSide *side : sides)
    observedRoutes.emplace_back(side->program().routes.size());
  auto observe = [&]() -> Status {
    renewMasks();
    auto inputs = randomInputs(*steps, vocabulary, random);
    for (size_t side = 0; side < sides.size(); ++side) {
      auto timed = sides[side]->exchangeRouteCounts(observedRoutes[side]);
      auto times = sides[side]->timeDispatches(cell, inputs, run.flusher());
      observedRoutes[side] = sides[side]->exchangeRouteCounts(timed);
      if (!times)
        return times.status();
      observed[side].add(*times);
      lookAtCeilings(run);
    }
    return {};
  };

  using Clock = std::chrono::steady_clock;
  Clock::duration timed{};
  std::vector<std::vector<double>> samples(sides.size());
  while (static_cast<int64_t>(samples[0].size()) < options.maxRepeats) {
    auto begin = Clock::now();
    std::vector<size_t> order = drawBlock(sides.size(), random);
    for (size_t pair = 0; pair < order.size(); pair += sides.size()) {
      auto inputs = randomInputs(*steps, vocabulary, random);
      renewMasks();
      for (size_t turn = 0; turn < sides.size(); ++turn) {
        size_t side = order[pair + turn];
        auto time = sides[side]->time(cell, inputs, run.flusher());
        if (!time)
          return time.status();
        samples[side].push_back(*time);
        lookAtCeilings(run);
      }
    }
    timed += Clock::now() - begin;
    size_t pairs = samples[0].size();
    run.listener.progress(cell, static_cast<int64_t>(pairs));
    if (observed[0].count() < observedMost)
      if (Status status = observe(); !status.ok())
        return status;
    if (pairs % 10 == 0 && isTight(samples.front(), samples.back(),
                                   run.dense.has_value(), options.seed)) {
      result.converged = true;
      break;
    }
    if (std::chrono::duration<double>(timed).count() > options.maxSeconds)
      break;
  }
  while (observed[0].count() < observedLeast)
    if (Status status = observe(); !status.ok())
      return status;

  auto fill = [&](SideResult &figures, size_t side) {
    figures.seconds = summarize(samples[side]);
    figures.routes = sides[side]->routeCounts();
    figures.observedRoutes = observedRoutes[side];
    observed[side].fill(figures, sides[side]->program());
  };
  fill(result.pruned, sides.size() - 1);
  if (run.dense) {
    fill(*result.dense, 0);
    result.speedupInterval =
        bootstrapRatio(samples.front(), samples.back(), options.seed);
  }
  return tightenBounds(run, result);
}

/// Shares of the dense program's sites and what remains of each.
static double amdahlOf(const Program &dense, const SideResult &denseSide,
                       const Program &pruned, const SideResult &prunedSide) {
  auto denseWork = workBySite(dense, denseSide.estimate);
  auto prunedWork =
      foldIntoSites(denseWork, workBySite(pruned, prunedSide.estimate));
  std::map<std::string, SiteShare> sites;
  for (size_t i = 0; i < dense.dispatches.size(); ++i) {
    const std::string &site = dense.dispatches[i].site;
    SiteShare &share = sites[site];
    share.denseSeconds += denseSide.dispatchSeconds[i];
    share.denseWork = denseWork[site];
    auto left = prunedWork.find(site);
    share.prunedWork = left == prunedWork.end() ? 0 : left->second;
  }
  std::vector<SiteShare> list;
  for (const auto &[site, share] : sites)
    list.push_back(share);
  return amdahlSpeedup(list);
}

/// Curves at the sizes of this run, and at few rows, where kernels are of
/// another kind.
static Status calibrateForRun(Run &run) {
  const BenchOptions &options = run.options;
  CalibrateOptions calibration;
  calibration.bundles = {options.dense.empty() ? options.pruned
                                               : options.dense};
  calibration.threads = options.threads;
  calibration.rows = {1, 16};
  for (int64_t batch : options.batches) {
    calibration.rows.push_back(batch);
    for (int64_t seq : options.seqs)
      calibration.rows.push_back(batch * seq);
  }
  calibration.cached = options.seqs;
  calibration.progress = [&](const std::string &what) {
    run.listener.calibrating(what);
  };
  return calibrate(run.machine, calibration);
}

Status runBench(const BenchOptions &options, const Machine &machine,
                BenchListener &listener) {
  if (Status status = checkOptions(options); !status.ok())
    return status;
  Run run{options, machine, listener, {}, {}, {}, {}, {}, {}, {}, {}};
  run.context.options = &options;
  run.context.machine = &run.machine;
  run.context.date = utcNow();

  Result<Program> pruned = readProgram(options.pruned);
  if (!pruned)
    return pruned.status();
  if (options.calibrate)
    if (Status status = calibrateForRun(run); !status.ok())
      return status;
  run.context.pruned = &*pruned;
  std::optional<Program> dense;
  if (!options.dense.empty()) {
    Result<Program> read = readProgram(options.dense);
    if (!read)
      return read.status();
    dense = *std::move(read);
    run.context.dense = &*dense;
    run.context.differences = differences(*dense, *pruned);
    if (!run.context.differences.empty() && !options.force) {
      std::string all;
      for (const std::string &difference : run.context.differences)
        all += (all.empty() ? "" : ", ") + difference;
      return invalidArgument("expected two bundles of one model, found that "
                             "they differ in " +
                             all);
    }
    if (dense->model.vocabulary != pruned->model.vocabulary)
      return invalidArgument("expected two bundles of one vocabulary");
    Result<MeasuredSide> side = openSide(options.dense, *dense, options);
    if (!side)
      return side.status();
    run.dense.emplace(*std::move(side));
  }
  Result<MeasuredSide> side = openSide(options.pruned, *pruned, options);
  if (!side)
    return side.status();
  run.pruned.emplace(*std::move(side));
  run.context.target = run.pruned->runner().target();
  run.context.threads = run.pruned->runner().threads();
  if (run.dense && run.dense->runner().target() != run.context.target)
    return invalidArgument(
        concat("expected two bundles that run on one target, found ",
               run.dense->runner().target(), " and ", run.context.target));
  run.context.isa = run.pruned->isa();
  if (run.dense && run.dense->isa() != run.context.isa)
    return invalidArgument(
        concat("expected two bundles with code for one instruction set, found ",
               run.dense->isa(), " and ", run.context.isa));
  if (Status status = takeRoutes(run); !status.ok())
    return status.at("routes");
  Result<CacheFlush> flush = CacheFlush::create(machine.cacheBytes);
  if (!flush)
    return flush.status();
  run.flush.emplace(*std::move(flush));
  run.context.denseVsPeer = comparePeers(readPeersFile(), pruned->model.dtype,
                                         run.context.threads, cpuName());
  lookBeforePredicting(run);

  for (Phase phase : options.phases)
    for (int64_t batch : options.batches)
      for (int64_t seq : options.seqs)
        run.cells.push_back({phase, batch, seq});
  Result<std::vector<CellResult>> results = predictCells(run);
  if (!results)
    return results.status();
  for (CellResult &result : *results) {
    if (Status status = measureCell(run, result); !status.ok())
      return status;
    if (run.dense)
      result.amdahl = amdahlOf(*dense, *result.dense, *pruned, result.pruned);
    if (Status status = listener.measured(run.context, result); !status.ok())
      return status;
  }
  return {};
}

} // namespace coppice::rt
