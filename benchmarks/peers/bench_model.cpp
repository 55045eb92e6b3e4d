// bench-model: whole steps of a bundle beside those of another engine that runs
// a model of the same shapes (model_peer.h). Both take turns, in random order
// (ABBA); weights are cold, since a step reads more of them than caches hold,
// and ours finds the caches flushed besides.
#include "benchmarks/peers/model_peer.h"
#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/bench/host.h"
#include "runtime/bench/machine_file.h"
#include "runtime/bench/measured_side.h"
#include "runtime/bench/probe.h"
#include "runtime/bench/statistics.h"
#include "runtime/costmodel/estimate.h"
#include "runtime/cpu/thread_count.h"
#include "tools/coppice-run/output.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <thread>

using namespace coppice::rt;
using coppice::bench::ModelPeer;

namespace {

enum ExitCode { done = 0, failed = 1, wrongUsage = 2 };

struct Flags {
  std::string bundle, peer, json, machine;
  std::vector<std::string> phases{"prefill", "decode"};
  std::vector<int64_t> seqs{512};
  std::vector<int> threads;
  int64_t maxRepeats = 30;
  double maxSeconds = 30;
  uint64_t seed = 1;
};

void describe(CLI::App &app, Flags &flags) {
  app.footer(
      "Exit codes: 0 done, 1 an input or a check failed, 2 wrong usage.\n"
      "A bundle holds native code: run only those whose maker you trust. "
      "benchmarks/README.md shows peers.");
  app.add_option("bundle", flags.bundle, "a compiled model")
      ->required()
      ->type_name("BUNDLE");
  app.add_option(
         "--peer", flags.peer,
         "command of the other engine: benchmarks/peers/"
         "llama_cpp_peer.py MODEL.gguf, or another that answers like it")
      ->required()
      ->type_name("COMMAND");
  auto list = [&](const char *name, auto &values, const char *help) {
    return app.add_option(name, values, help)
        ->delimiter(',')
        ->allow_extra_args(false);
  };
  list("--phase", flags.phases, "prefill, decode or both")
      ->check(CLI::IsMember({"prefill", "decode"}))
      ->capture_default_str()
      ->type_name("PHASE,..");
  list("--seq", flags.seqs,
       "prefill: tokens of the prompt; decode: tokens in the cache")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->capture_default_str()
      ->type_name("N,..");
  list("--threads", flags.threads,
       "threads of both (default: 1 and as many CPUs as this process may use)")
      ->check(CLI::Range(1, 4096))
      ->type_name("N,..");
  app.add_option(
         "--json", flags.json,
         "append a record a cell (schema coppice.peers/1); - is stdout, "
         "and the table then goes to stderr")
      ->type_name("FILE");
  app.add_option("--machine", flags.machine,
                 "machine description to predict from (default: that of "
                 "`coppice-run probe`)")
      ->type_name("FILE");
  app.add_option("--max-repeats", flags.maxRepeats,
                 "stop a cell after N pairs, though the interval be wider than "
                 "1 %")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(2), int64_t(1) << 30))
      ->type_name("N");
  app.add_option("--max-seconds", flags.maxSeconds,
                 "stop a cell after S seconds likewise, but four pairs")
      ->capture_default_str()
      ->check(CLI::Range(1e-3, 1e9))
      ->type_name("S");
  app.add_option("--seed", flags.seed, "seed of tokens, order and bootstrap")
      ->capture_default_str()
      ->type_name("N");
}

struct ModelCell {
  Cell cell;
  int threads = 1;
  std::string isa;
  std::vector<double> ours, theirs;
  double ratio = 0;
  Interval interval{};
  Estimate estimate;
  /// Arithmetic: the best of this cell. Bandwidth: the median, since it drifts.
  double peak = 0, bandwidth = 0;
};

/// What limits a phase: FLOP/s over the peak, or bytes/s over the bandwidth.
double fractionOfLimit(const ModelCell &r) {
  double seconds = quantile(r.ours, 0.5);
  return r.cell.phase == Phase::Prefill
             ? r.estimate.total.flops / seconds / r.peak
             : r.estimate.total.coldBytes / seconds / r.bandwidth;
}

Json sideJson(const std::vector<double> &samples) {
  Summary s = summarize(samples);
  return {{"mean", s.mean},
          {"median", s.median},
          {"p5", s.p5},
          {"p95", s.p95},
          {"n", s.n}};
}

std::string record(const ModelCell &r, const Program &program,
                   const ModelPeer &peer) {
  Json json = {{"schema", "coppice.peers/1"},
               {"kind", "model"},
               {"peer", peer.name},
               {"peer_version", peer.version},
               {"peer_detail", peer.detail},
               {"model", program.model.name},
               {"dtype", program.model.dtype},
               {"phase", nameOf(r.cell.phase)},
               {"batch", r.cell.batch},
               {"seq", r.cell.seq},
               {"threads", r.threads},
               {"isa", r.isa},
               {"cache", "cold"},
               {"ours_s", quantile(r.ours, 0.5)},
               {"peer_s", quantile(r.theirs, 0.5)},
               {"ratio", r.ratio},
               {"ratio_ci95", {r.interval.low, r.interval.high}},
               {"ours", sideJson(r.ours)},
               {"theirs", sideJson(r.theirs)},
               {"flops", r.estimate.total.flops},
               {"cold_bytes", r.estimate.total.coldBytes},
               {"peak_flops_per_s", r.peak},
               {"read_bytes_per_s", r.bandwidth},
               {"fraction_of_limit", fractionOfLimit(r)},
               {"predicted_s", r.estimate.predictedSeconds},
               {"bound_s", r.estimate.boundSeconds},
               {"host", hostName()},
               {"cpu", cpuName()},
               {"date", utcNow()},
               {"commit", buildCommit()}};
  return json.dump();
}

void printRow(FILE *table, const ModelCell &r, const ModelPeer &peer) {
  std::fprintf(table,
               "%-8s %5lld %7d %10.2f %5.0f%% of %-9s %10.2f %10.2f  %.3f "
               "[%.3f, %.3f]  %s %s\n",
               nameOf(r.cell.phase), static_cast<long long>(r.cell.seq),
               r.threads, quantile(r.ours, 0.5) * 1e3, 100 * fractionOfLimit(r),
               r.cell.phase == Phase::Prefill ? "peak" : "bandwidth",
               r.estimate.predictedSeconds * 1e3, quantile(r.theirs, 0.5) * 1e3,
               r.ratio, r.interval.low, r.interval.high, peer.name.c_str(),
               peer.version.c_str());
}

/// Both sides of one number of threads.
class Comparison {
public:
  Comparison(const Flags &flags, MeasuredSide &ours, ModelPeer &peer,
             Machine machine, const CacheFlush &flush)
      : flags(flags), ours(ours), peer(peer), machine(std::move(machine)),
        flush(flush), random(flags.seed) {}

  Result<ModelCell> measure(const Cell &cell, int threads);

private:
  Status sample(ModelCell &result, const std::vector<StepShape> &steps,
                bool our);

  const Flags &flags;
  MeasuredSide &ours;
  ModelPeer &peer;
  Machine machine;
  const CacheFlush &flush;
  std::mt19937_64 random;
};

Status Comparison::sample(ModelCell &result,
                          const std::vector<StepShape> &steps, bool our) {
  // Threads of the other side fall asleep meanwhile.
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  const Cell &cell = result.cell;
  Result<double> seconds =
      our ? ours.time(cell,
                      randomInputs(steps, ours.runner().vocabulary(), random),
                      &flush)
          : peer.time(nameOf(cell.phase), cell.seq);
  if (!seconds)
    return seconds.status();
  (our ? result.ours : result.theirs).push_back(*seconds);
  return {};
}

Result<ModelCell> Comparison::measure(const Cell &cell, int threads) {
  ModelCell result;
  result.cell = cell;
  result.threads = threads;
  result.isa = ours.isa();
  const Runner &runner = ours.runner();
  Result<std::vector<StepShape>> steps =
      planSteps(cell, runner.maxRows(), runner.slots(), runner.context());
  if (!steps)
    return steps.status();
  std::vector<Rates> looks;
  auto look = [&] {
    Look seen = lookAtRates(flush.stream(), threads, ours.isa());
    looks.push_back(seen.typical);
    machine.at(threads).best.raise(seen.best);
  };
  auto estimated = [&] {
    return estimate(ours.program(), *steps, machine, ours.isa(), threads,
                    /*hot=*/false);
  };
  // Once each without taking the time.
  if (Status status = ours.prepare(cell, random); !status.ok())
    return status;
  for (bool our : {true, false})
    if (Status status = sample(result, *steps, our); !status.ok())
      return status;
  result.ours.clear();
  result.theirs.clear();

  // Only now: an engine that has just been started may still be at work.
  constexpr int looksBefore = 9;
  for (int i = 0; i < looksBefore; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    look();
  }
  machine.at(threads).typical.replace(medianOf(looks));
  Result<Estimate> before = estimated();
  if (!before)
    return before.status();

  auto begin = std::chrono::steady_clock::now();
  bool first = true;
  for (int64_t pair = 0; pair < flags.maxRepeats; ++pair) {
    first = pair % 2 == 0 ? random() % 2 == 0 : !first;
    for (bool our : {first, !first})
      if (Status status = sample(result, *steps, our); !status.ok())
        return status;
    look();
    std::vector<double> ratios = resampleRatios(
        result.theirs, result.ours, flags.seed, 2000, Center::Median);
    result.ratio = quantile(result.theirs, 0.5) / quantile(result.ours, 0.5);
    result.interval = intervalOf(std::move(ratios));
    std::chrono::duration<double> time =
        std::chrono::steady_clock::now() - begin;
    if (pair + 1 >= 4 && time.count() > flags.maxSeconds)
      break;
    if ((pair + 1) % 10 == 0 &&
        result.interval.relativeHalfWidth(result.ratio) <= 0.01)
      break;
  }

  Result<Estimate> after = estimated();
  if (!after)
    return after.status();
  result.estimate = *std::move(after);
  result.estimate.predictedSeconds = before->predictedSeconds;
  result.bandwidth = medianOf(looks).dram;
  result.peak = peakOf(machine.at(threads).best,
                       ours.program().model.dtype == "bf16" ? Arithmetic::BF16
                                                            : Arithmetic::F32,
                       ours.isa());
  return result;
}

Status run(Flags flags) {
  if (Status status = checkAppendable(flags.json); !status.ok())
    return status;
  Result<Program> program = readProgram(flags.bundle);
  if (!program)
    return program.status();
  Result<Machine> machine = machineToPredictFor(flags.machine);
  if (!machine)
    return machine.status();
  Result<CacheFlush> flush = CacheFlush::create(lastLevelCacheBytes());
  if (!flush)
    return flush.status();
  if (flags.threads.empty()) {
    flags.threads = {1};
    if (usableThreads() > 1)
      flags.threads.push_back(usableThreads());
  }
  FILE *table = flags.json == "-" ? stderr : stdout;
  std::fprintf(table, "%-8s %5s %7s %10s %18s %10s %10s  %s\n", "phase", "seq",
               "threads", "ours ms", "", "predicted", "peer ms", "peer / ours");
  for (int threads : flags.threads) {
    SideRequest request;
    for (int64_t seq : flags.seqs)
      request.seq = std::max(request.seq, seq);
    request.decode = true;
    request.threads = threads;
    Result<MeasuredSide> ours =
        MeasuredSide::open(flags.bundle, *program, request);
    if (!ours)
      return ours.status();
    auto peer = ModelPeer::start(flags.peer, threads);
    if (!peer)
      return peer.status();
    Comparison comparison(flags, *ours, **peer, *machine, *flush);
    for (const std::string &phase : flags.phases)
      for (int64_t seq : flags.seqs) {
        Cell cell{phase == "decode" ? Phase::Decode : Phase::Prefill, 1, seq};
        Result<ModelCell> result = comparison.measure(cell, threads);
        if (!result)
          return result.status();
        printRow(table, *result, **peer);
        std::fflush(table);
        if (!flags.json.empty())
          if (Status status = appendLine(
                  flags.json, record(*result, ours->program(), **peer));
              !status.ok())
            return status;
      }
  }
  return {};
}

} // namespace

int main(int argc, char **argv) {
  Flags flags;
  CLI::App app("Whole steps of a bundle beside those of another engine.",
               "bench-model");
  describe(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? done : wrongUsage;
  }
  Status status = run(std::move(flags));
  if (status.ok())
    return done;
  std::fprintf(stderr, "bench-model: error: %s\n", status.message().c_str());
  return failed;
}
