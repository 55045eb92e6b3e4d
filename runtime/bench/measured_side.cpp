// See measured_side.h.
#include "runtime/bench/measured_side.h"

#include "runtime/base/concat.h"
#include "runtime/cpu/cpu_features.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace coppice::rt {

std::vector<StepRows> randomInputs(const std::vector<StepShape> &steps,
                                   int64_t vocabulary,
                                   std::mt19937_64 &random) {
  std::vector<StepRows> inputs;
  for (const StepShape &shape : steps) {
    StepRows &rows = inputs.emplace_back();
    for (int64_t s = 0; s < shape.batch; ++s)
      for (int64_t i = 0; i < shape.length; ++i) {
        auto token = random() % static_cast<uint64_t>(vocabulary);
        rows.add(static_cast<int32_t>(token), static_cast<int32_t>(s),
                 shape.begin + i, shape.head && i + 1 == shape.length);
      }
  }
  return inputs;
}

Result<Program> readProgram(const std::string &path) {
  coppice_bundle *bundle = nullptr;
  if (coppice_status code = coppice_bundle_open(path.c_str(), &bundle))
    return lastFailure(code);
  Result<Program> program = parseProgram(coppice_bundle_program_json(bundle));
  coppice_bundle_close(bundle);
  return program ? std::move(program) : program.status().at(path);
}

/// The widest instructions that the code of `target` may use.
static std::string isaOf(const Target &target) {
  auto needs = [&](std::string_view feature) {
    return std::find(target.requires_.begin(), target.requires_.end(),
                     feature) != target.requires_.end();
  };
  return needs("amx_bf16")      ? "amx_bf16"
         : needs("avx512_bf16") ? "avx512_bf16"
         : needs("avx512f")     ? "avx512"
         : needs("avx2")        ? "avx2"
                                : "baseline";
}

/// The target of this name that a session takes: the first that this machine
/// can run.
static const Target *findTarget(const Program &program,
                                const std::string &name) {
  for (const Target &target : program.targets)
    if (target.name == name &&
        std::all_of(
            target.requires_.begin(), target.requires_.end(),
            [](const std::string &feature) { return hasCpuFeature(feature); }))
      return &target;
  return nullptr;
}

MeasuredSide::MeasuredSide(Runner runner) : model(std::move(runner)) {
  const Target *target = findTarget(model.program(), model.target());
  isaName = target ? isaOf(*target) : "baseline";
  resetRouteCounts();
}

Result<MeasuredSide> MeasuredSide::open(const std::string &path,
                                        const Program &program,
                                        const SideRequest &request) {
  int64_t batch = request.batch, seq = request.seq;
  bool decode = request.decode;
  if (batch > program.limits.slots || batch < 1)
    return invalidArgument(concat("batch: expected 1 to ", program.limits.slots,
                                  " (the bundle's limit), found ", batch));
  if (seq + decode > program.limits.context || seq < 1)
    return invalidArgument(
        concat("seq: expected 1 to ", program.limits.context - decode,
               " (the bundle's context", decode ? " less one token" : "",
               "), found ", seq));
  RunnerOptions options;
  options.target = request.target;
  options.threads = request.threads;
  options.pin = request.pin;
  options.slots = batch;
  options.context = seq + decode;
  options.maxRows = std::min(program.limits.rows, batch * seq);
  options.maxHeadRows = batch;
  Result<Runner> runner = Runner::open(path, options);
  if (!runner)
    return runner.status();
  return MeasuredSide(*std::move(runner));
}

std::vector<RouteLoad> MeasuredSide::announcedLoads() const {
  std::vector<RouteLoad> loads;
  for (const Route &route : program().routes)
    loads.push_back(
        {model.routes() ? model.routes()->density(route) : route.expected});
  return loads;
}

Status MeasuredSide::prepare(const Cell &cell, std::mt19937_64 &random) {
  model.restartSequences();
  if (cell.phase == Phase::Prefill)
    return {};
  auto steps = planSteps({Phase::Prefill, cell.batch, cell.seq},
                         model.maxRows(), model.slots(), model.context());
  if (!steps)
    return steps.status();
  for (StepShape &step : *steps)
    step.head = false;
  for (const StepRows &rows : randomInputs(*steps, model.vocabulary(), random))
    if (Status status = model.step(rows, logits); !status.ok())
      return status;
  return {};
}

/// Takes back what an earlier repeat has decoded.
static Status rewindTo(const Runner &model, const Cell &cell) {
  if (cell.phase == Phase::Prefill)
    return {};
  for (int64_t slot = 0; slot < cell.batch; ++slot)
    if (coppice_status code = coppice_session_rewind(
            model.session(), static_cast<int32_t>(slot), cell.seq))
      return lastFailure(code);
  return {};
}

/// Brings the session to where the cell begins, once more.
Status MeasuredSide::begin(const Cell &cell) {
  // The sequences of a decode are those that prepare() has fed.
  if (cell.phase == Phase::Prefill)
    model.restartSequences();
  return rewindTo(model, cell);
}

/// Decisions are made ahead of the clock, like token ids.
Result<std::vector<StepRows>>
MeasuredSide::decide(std::vector<StepRows> inputs) {
  for (StepRows &rows : inputs)
    if (Status status = model.decide(rows); !status.ok())
      return status;
  return inputs;
}

Status MeasuredSide::countRoutes(const StepRows &rows) {
  for (size_t r = 0; r < counts.size(); ++r) {
    auto mask = model.readRoute(r, rows.size());
    if (!mask)
      return mask.status();
    RouteCount &count = counts[r];
    auto groups = static_cast<size_t>(program().routes[r].groups);
    std::vector<bool> some(groups);
    for (size_t i = 0; i < mask->size(); ++i) {
      count.kept += (*mask)[i];
      some[i % groups] = some[i % groups] || (*mask)[i];
    }
    count.rows += static_cast<int64_t>(mask->size());
    count.touched += std::count(some.begin(), some.end(), true);
    count.opportunities += static_cast<int64_t>(groups);
  }
  return {};
}

/// The device's caches, or, where those are the host's, these. Null: they stay
/// as they are.
Status MeasuredSide::flushCaches(const CacheFlush *flush) {
  if (!flush)
    return {};
  int32_t flushed = 0;
  if (coppice_status code =
          coppice_session_flush_caches(model.session(), &flushed))
    return lastFailure(code);
  if (!flushed)
    flush->run();
  return {};
}

Result<double> MeasuredSide::time(const Cell &cell,
                                  const std::vector<StepRows> &inputs,
                                  const CacheFlush *flush) {
  if (Status status = begin(cell); !status.ok())
    return status;
  auto decided = decide(inputs);
  if (!decided)
    return decided.status();
  if (Status status = flushCaches(flush); !status.ok())
    return status;
  std::chrono::duration<double> total{};
  for (const StepRows &rows : *decided) {
    auto begin = std::chrono::steady_clock::now();
    Status status = model.step(rows, logits);
    total += std::chrono::steady_clock::now() - begin;
    if (status.ok())
      status = countRoutes(rows);
    if (!status.ok())
      return status;
  }
  return total.count();
}

namespace {
using Clock = std::chrono::steady_clock;

/// What the observer of one run gathers.
struct Observation {
  ObservedTimes times;
  std::optional<Clock::time_point> firstBegin;
  Clock::time_point lastEnd;
};
} // namespace

static double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Result<ObservedTimes>
MeasuredSide::timeDispatches(const Cell &cell,
                             const std::vector<StepRows> &inputs,
                             const CacheFlush *flush) {
  if (Status status = begin(cell); !status.ok())
    return status;
  auto decided = decide(inputs);
  if (!decided)
    return decided.status();
  if (Status status = flushCaches(flush); !status.ok())
    return status;
  Observation seen;
  seen.times.dispatches.assign(program().dispatches.size(), 0);
  coppice_session_observe(
      model.session(),
      [](void *context, int64_t dispatch, double time, const float *,
         const int64_t *, int64_t) {
        auto &seen = *static_cast<Observation *>(context);
        seen.times.dispatches[static_cast<size_t>(dispatch)] += time;
        seen.lastEnd = Clock::now();
        if (!seen.firstBegin)
          seen.firstBegin =
              seen.lastEnd - std::chrono::duration_cast<Clock::duration>(
                                 std::chrono::duration<double>(time));
      },
      &seen);
  Status status;
  for (size_t i = 0; i < decided->size() && status.ok(); ++i) {
    seen.firstBegin.reset();
    auto begin = seen.lastEnd = Clock::now();
    status = model.step((*decided)[i], logits);
    auto end = Clock::now();
    seen.times.host += seconds(end - seen.lastEnd);
    if (seen.firstBegin)
      seen.times.host += seconds(*seen.firstBegin - begin);
    if (status.ok())
      status = countRoutes((*decided)[i]);
  }
  coppice_session_observe(model.session(), nullptr, nullptr);
  if (!status.ok())
    return status;
  return seen.times;
}

} // namespace coppice::rt
