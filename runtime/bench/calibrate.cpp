// See calibrate.h.
//
// All cells (prefills of some lengths, decode steps) are run in rounds, so that
// drift meets all of them, short ones several times a round. Before and after
// each run there is a look at the machine's rates: a cell's times are held
// against the rates that it has met itself, the median of the ones against the
// median of the others.
//
// For each class of kernels and each number of rows there are then some
// dispatches, of different shapes, with
//
//   seconds = fixed + base / fraction
//
// where base is the time at typical rates (dispatch_time.h): a line through
// points, fitted so that relative errors are least. Products have several
// shapes at each number of rows, and get a fraction for each depth; for other
// kernels the few smallest numbers of rows tell what is fixed.
#include "runtime/bench/calibrate.h"

#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"
#include "runtime/bench/host.h"
#include "runtime/bench/measured_side.h"
#include "runtime/bench/probe.h"
#include "runtime/bench/statistics.h"
#include "runtime/costmodel/estimate.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace coppice::rt {

namespace {

/// One shape of a class at one number of rows.
struct Sample {
  int64_t depth;
  double base, seconds;
};

/// Samples of a class by rows. The key's threads are the ceilings'.
struct Class {
  CurveKey key;
  std::map<int64_t, std::vector<Sample>> byRows;
};

/// What all bundles have told.
struct Found {
  std::map<std::string, Class> classes; ///< by name
  std::vector<double> host;             ///< seconds of each step
  std::string models;
  int threads = 1;
};

/// One cell: what it runs and what it took.
struct Trial {
  Cell cell;
  std::vector<StepShape> steps;
  std::vector<std::vector<double>> seconds; ///< by dispatch
  std::vector<double> host;
  std::vector<Rates> looks;
};

} // namespace

static double leastTime(const std::vector<Sample> &samples) {
  double least = samples.front().seconds;
  for (const Sample &s : samples)
    least = std::min(least, s.seconds);
  return least;
}

/// `fixed` of the line of least relative squared error, at most `most`. Where
/// all samples are alike it cannot be told from the slope: `otherwise`.
static double fitFixed(const std::vector<Sample> &samples, double most,
                       double otherwise) {
  auto [low, high] = std::minmax_element(
      samples.begin(), samples.end(),
      [](const Sample &a, const Sample &b) { return a.base < b.base; });
  if (high->base < 1.5 * low->base)
    return std::min(otherwise, most);
  // Normal equations of sum ((fixed + slope * base - t) / t)^2.
  double aa = 0, ab = 0, bb = 0, a = 0, b = 0;
  for (const Sample &s : samples) {
    double x = 1 / s.seconds, y = s.base / s.seconds;
    aa += x * x;
    ab += x * y;
    bb += y * y;
    a += x;
    b += y;
  }
  double determinant = aa * bb - ab * ab;
  if (determinant <= 1e-9 * aa * bb)
    return std::min(otherwise, most);
  return std::clamp((a * bb - b * ab) / determinant, 0.0, most);
}

/// base / (seconds - fixed) of all samples, by least relative squared error.
static double fitFraction(const std::vector<Sample> &samples, double fixed) {
  double above = 0, below = 0;
  for (const Sample &s : samples) {
    above += (s.seconds - fixed) * s.base / (s.seconds * s.seconds);
    below += s.base * s.base / (s.seconds * s.seconds);
  }
  // A time that is all fixed leaves nothing to divide by.
  return std::clamp(below / above, 1e-6, 10.0);
}

static Curve makeCurve(const Class &found, double dispatchSeconds,
                       const std::string &origin) {
  Curve curve{found.key, origin, {}};
  bool isGemm = found.key.kind == "gemm";
  // Products come in several shapes at each number of rows, and what is fixed
  // may depend on it. Other kernels come in one: there, few rows tell.
  double fixed = 0;
  if (!isGemm) {
    constexpr int64_t few = 16;
    std::vector<Sample> start;
    for (const auto &[rows, samples] : found.byRows)
      if (rows <= few || start.empty())
        start.insert(start.end(), samples.begin(), samples.end());
    fixed = fitFixed(start, 0.95 * leastTime(start), dispatchSeconds);
  }
  for (const auto &[rows, samples] : found.byRows) {
    if (isGemm)
      fixed = fitFixed(samples, leastTime(samples) / 2, dispatchSeconds);
    std::map<int64_t, std::vector<Sample>> byDepth;
    for (const Sample &s : samples)
      byDepth[s.depth].push_back(s);
    for (const auto &[depth, same] : byDepth)
      curve.points.push_back({rows, depth, fitFraction(same, fixed), fixed});
  }
  return curve;
}

/// The samples of one cell, by class. Dispatches of one shape (those of all
/// layers) are one sample: the mean of their medians.
static void collect(const Program &program, const Trial &trial,
                    const Machine &now, std::string_view isa, int threads,
                    std::map<std::string, Class> &classes) {
  // Every row is kept, see below.
  std::vector<RouteLoad> all(program.routes.size());
  Result<Estimate> made =
      estimate(program, trial.steps, now, isa, threads, /*hot=*/false, all);
  if (!made)
    return; // it has run, so that it can be evaluated
  struct Same {
    double seconds = 0;
    int count = 0;
  };
  std::map<std::string, std::map<std::tuple<int64_t, int64_t, double>, Same>>
      shapes;
  for (size_t i = 0; i < program.dispatches.size(); ++i) {
    const DispatchEstimate &e = made->dispatches[i];
    const Work &work = e.work;
    std::string kind(nameOf(program.dispatches[i].kind));
    CurveKey key{kind, std::string(nameOf(work.arithmetic)),
                 std::string(work.storage), std::string(isa),
                 now.at(threads).threads};
    std::string name =
        concat(key.kind, "/", key.arithmetic, "/", key.storage, "/", key.isa);
    classes.try_emplace(name, Class{key, {}});
    const DispatchTime &time = e.steps.front();
    double base =
        std::max(time.computeSeconds, time.coldSeconds + time.warmSeconds);
    Same &same = shapes[name][{work.m > 0 ? work.m : work.rows, work.k, base}];
    same.seconds += quantile(trial.seconds[i], 0.5);
    ++same.count;
  }
  for (const auto &[name, places] : shapes)
    for (const auto &[place, same] : places)
      classes[name].byRows[std::get<0>(place)].push_back(
          {std::get<1>(place), std::get<2>(place), same.seconds / same.count});
}

static Result<std::vector<Trial>> planTrials(const CalibrateOptions &options,
                                             const Program &program,
                                             const MeasuredSide &side) {
  std::vector<Trial> trials;
  auto add = [&](Cell cell) -> Status {
    auto steps = planSteps(cell, side.runner().maxRows(), side.runner().slots(),
                           side.runner().context());
    if (!steps)
      return steps.status();
    // Points are of single steps.
    if (steps->size() == 1)
      trials.push_back(
          {cell,
           *steps,
           std::vector<std::vector<double>>(program.dispatches.size()),
           {},
           {}});
    return {};
  };
  for (int64_t rows : std::set(options.rows.begin(), options.rows.end()))
    if (rows < program.limits.context)
      if (Status status = add({Phase::Prefill, 1, rows}); !status.ok())
        return status;
  for (int64_t cached : std::set(options.cached.begin(), options.cached.end()))
    if (cached < program.limits.context)
      if (Status status = add({Phase::Decode, 1, cached}); !status.ok())
        return status;
  if (trials.empty())
    return invalidArgument(concat("expected a bundle with a context of more "
                                  "than one token, found ",
                                  program.limits.context));
  return trials;
}

/// Runs a cell once, or several times where that takes but a moment, into
/// `trial` if it counts.
static Status runTrial(MeasuredSide &side, Trial &trial, bool counts,
                       const CacheFlush &flush, std::mt19937_64 &random) {
  constexpr double momentSeconds = 0.1;
  constexpr int mostRuns = 4;
  if (Status status = side.prepare(trial.cell, random); !status.ok())
    return status;
  auto look = [&] {
    if (counts)
      trial.looks.push_back(
          lookAtRates(flush.stream(), side.runner().threads(), side.isa())
              .typical);
  };
  look();
  double spent = 0;
  for (int run = 0; run < mostRuns && spent < momentSeconds; ++run) {
    auto inputs =
        randomInputs(trial.steps, side.program().model.vocabulary, random);
    auto times = side.timeDispatches(trial.cell, inputs, &flush);
    if (!times)
      return times.status();
    look();
    spent += times->host + std::accumulate(times->dispatches.begin(),
                                           times->dispatches.end(), 0.0);
    if (!counts)
      return {};
    for (size_t d = 0; d < trial.seconds.size(); ++d)
      trial.seconds[d].push_back(times->dispatches[d]);
    trial.host.push_back(times->host);
  }
  return {};
}

/// Runs the cells of one bundle and adds its samples to `classes`.
static Status calibrateOn(const std::string &bundle, const Machine &machine,
                          const CalibrateOptions &options, Found &found) {
  Result<Program> program = readProgram(bundle);
  if (!program)
    return program.status();
  int64_t longest = 1;
  for (const auto *list : {&options.rows, &options.cached})
    for (int64_t tokens : *list)
      if (tokens < program->limits.context)
        longest = std::max(longest, tokens);
  SideRequest request;
  request.seq = longest;
  request.decode = true;
  request.threads = options.threads;
  Result<MeasuredSide> side = MeasuredSide::open(bundle, *program, request);
  if (!side)
    return side.status();
  // How near kernels come to the machine's rates does not depend on who
  // decides; that the work is known does.
  if (!program->routes.empty())
    if (Status status = side->routeBy("all"); !status.ok())
      return status;
  Result<CacheFlush> flush = CacheFlush::create(machine.cacheBytes);
  if (!flush)
    return flush.status();
  int threads = side->runner().threads();
  Result<std::vector<Trial>> trials = planTrials(options, *program, *side);
  if (!trials)
    return trials.status().at(bundle);

  std::mt19937_64 random(1);
  // The first round is warm-up.
  for (int round = 0; round <= options.repeats; ++round) {
    if (options.progress)
      options.progress(concat("calibrating on ", bundle, ", ", threads,
                              " threads, round ", round, " of ",
                              options.repeats));
    for (Trial &trial : *trials)
      if (Status status = runTrial(*side, trial, round > 0, *flush, random);
          !status.ok())
        return status;
  }

  for (const Trial &trial : *trials) {
    Machine now = machine;
    now.at(threads).typical.replace(medianOf(trial.looks));
    collect(*program, trial, now, side->isa(), threads, found.classes);
    found.host.insert(found.host.end(), trial.host.begin(), trial.host.end());
  }
  found.models += concat(found.models.empty() ? "" : ", ", program->model.name,
                         " ", program->model.dtype);
  found.threads = threads;
  return {};
}

Status calibrate(Machine &machine, const CalibrateOptions &options) {
  Found found;
  std::string producer;
  for (const std::string &bundle : options.bundles) {
    Result<Program> program = readProgram(bundle);
    if (!program)
      return program.status();
    if (!producer.empty() && producer != program->producer)
      return invalidArgument(concat(
          "expected bundles of one compiler, found ", quote(producer), " and ",
          quote(program->producer), " in ", quote(bundle), "; compile again"));
    producer = program->producer;
  }
  for (const std::string &bundle : options.bundles)
    if (Status status = calibrateOn(bundle, machine, options, found);
        !status.ok())
      return status;
  if (found.host.empty())
    return invalidArgument("expected at least one bundle to calibrate on");

  machine.stepSeconds = quantile(found.host, 0.5);
  std::string origin = concat("measured: ", found.models, ", ", found.threads,
                              " threads, batch 1, cold, ", utcNow());
  double dispatch = machine.at(found.threads).dispatchSeconds;
  for (const auto &[name, one] : found.classes) {
    Curve curve = makeCurve(one, dispatch, origin);
    curve.producer = producer;
    machine.setCurve(std::move(curve));
  }
  return {};
}

} // namespace coppice::rt
