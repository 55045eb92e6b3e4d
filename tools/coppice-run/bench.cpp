// coppice-run bench: one bundle, or a pruned one against a dense one;
// predicted, then measured.
#include "runtime/bench/bench.h"
#include "runtime/bench/host.h"
#include "runtime/bench/machine_file.h"
#include "runtime/bench/record.h"
#include "runtime/bundle/bundle.h"
#include "tools/coppice-run/output.h"
#include "tools/coppice-run/route_flags.h"
#include "tools/coppice-run/seed_check.h"
#include "tools/coppice-run/session_flags.h"
#include "tools/coppice-run/subcommands.h"

#include <cstdio>
#include <filesystem>
#include <memory>

namespace coppice::rt {

namespace {

struct Flags {
  BenchOptions bench;
  std::vector<std::string> phases{"prefill", "decode"};
  std::string json, machine;
};

bool isDevice(const std::string &path) {
  std::error_code error;
  std::filesystem::file_status status = std::filesystem::status(path, error);
  return std::filesystem::exists(status) &&
         !std::filesystem::is_regular_file(status);
}

/// Prints the table while cells come in, and appends their records.
class Printer : public BenchListener {
public:
  explicit Printer(const Flags &flags) : flags(flags) {}

  Status predicted(const BenchContext &context,
                   const std::string &predictions) override {
    line.clear();
    std::fprintf(stderr, "predictions made, sha256 %s\n",
                 context.predictionsSha256.c_str());
    if (!context.curvesRemark.empty())
      std::fprintf(stderr, "note: %s\n", context.curvesRemark.c_str());
    for (const std::string &difference : context.differences)
      std::fprintf(stderr, "warning: the bundles differ in %s\n",
                   difference.c_str());
    for (const std::string &line : context.advice)
      std::fprintf(stderr, "%s\n", line.c_str());
    if (size_t count = context.pruned->fallbacks.size();
        count && flags.bench.force)
      std::fprintf(
          stderr,
          "note: %zu sites of the bundle were compiled to run dense, "
          "which no flag of bench undoes: compile with --force to skip "
          "there\n",
          count);
    if (!flags.json.empty() && flags.json != "-" &&
        !isDevice(flags.json)) // which has no place beside it
      if (Status status =
              appendLine(flags.json + ".predictions.jsonl", predictions);
          !status.ok())
        return status;
    std::fputs(tableHeading(context.dense).c_str(), table());
    std::fflush(table());
    return {};
  }

  void progress(const Cell &cell, int64_t pairs) override {
    line.show(std::string(nameOf(cell.phase)) + ", batch " +
              std::to_string(cell.batch) + ", seq " + std::to_string(cell.seq) +
              ": " + std::to_string(pairs) + " repeats");
  }

  void calibrating(const std::string &what) override { line.show(what); }

  Status measured(const BenchContext &context,
                  const CellResult &result) override {
    line.clear();
    std::fputs(tableRow(result).c_str(), table());
    std::fputs(gapText(result).c_str(), table());
    std::fputs(routesText(context, result).c_str(), table());
    if (flags.bench.ops)
      std::fputs(dispatchTable(context, result).c_str(), table());
    std::fflush(table());
    for (const std::string &beaten : result.beatenBounds())
      std::fprintf(stderr,
                   "warning: %s: the machine description is too low (probe "
                   "again on a quiet machine) or a cost is wrong\n",
                   beaten.c_str());
    if (flags.json.empty())
      return {};
    return appendLine(flags.json, resultRecord(context, result));
  }

private:
  /// With records on stdout the table is talk.
  FILE *table() const { return flags.json == "-" ? stderr : stdout; }

  const Flags &flags;
  ProgressLine line;
};

} // namespace

/// Is what will run code for CPUs? A bundle is for CPUs or for GPUs.
static Result<bool> runsOnCPU(const BenchOptions &options) {
  auto bundle = Bundle::open(options.pruned);
  if (!bundle)
    return bundle.status();
  const std::vector<Target> &targets = bundle->program().targets;
  return targets.empty() || targets.front().name == "cpu";
}

static Status run(Flags flags) {
  if (Status status = checkAppendable(flags.json); !status.ok())
    return status;
  flags.bench.phases.clear();
  for (const std::string &phase : flags.phases)
    flags.bench.phases.push_back(phase == "decode" ? Phase::Decode
                                                   : Phase::Prefill);
  auto isForCPU = runsOnCPU(flags.bench);
  if (!isForCPU)
    return isForCPU.status();
  if (!*isForCPU && flags.machine.empty())
    return invalidArgument(
        "expected --machine FILE with what is known of the GPU, found none: "
        "'probe' measures CPUs; benchmarks/machines has data sheets");
  Result<Machine> machine = machineToPredictFor(flags.machine);
  if (!machine)
    return machine.status();
  if (*isForCPU && machine->cpu != cpuName())
    std::fprintf(stderr,
                 "note: the machine description is of '%s', this is '%s': "
                 "predictions and bounds are those of the former\n",
                 machine->cpu.c_str(), cpuName().c_str());
  Printer printer(flags);
  return runBench(flags.bench, *machine, printer);
}

void addBench(CLI::App &app, Status &result) {
  auto flags = std::make_shared<Flags>();
  CLI::App *command = app.add_subcommand(
      "bench", "Predict and measure a bundle, beside its dense one");
  BenchOptions &bench = flags->bench;
  addBundleArgument(*command, bench.pruned);
  command
      ->add_option("--dense", bench.dense,
                   "dense bundle of the same model to compare with")
      ->type_name("BUNDLE");
  command->add_option("--phase", flags->phases, "prefill, decode or both")
      ->capture_default_str()
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"prefill", "decode"}))
      ->type_name("PHASE,..");
  command->add_option("--batch", bench.batches, "sequences")
      ->capture_default_str()
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->type_name("N,..");
  command
      ->add_option("--seq", bench.seqs,
                   "prefill: tokens of each prompt; decode: tokens in the "
                   "cache")
      ->capture_default_str()
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->type_name("N,..");
  addThreadFlags(*command, bench.threads, bench.pin);
  command
      ->add_option("--target", bench.target,
                   "target of the bundles (default: the first that this "
                   "machine can run)")
      ->type_name("NAME");
  command->add_flag("--ops", bench.ops,
                    "shape, measured time, prediction, bound and rate of "
                    "each dispatch too");
  command->add_flag("--hot", bench.hot,
                    "leave the caches as the last repeat left them (default: "
                    "flush them before each)");
  command->add_flag("--calibrate", bench.calibrate,
                    "first measure how near the dense bundle's kernels come to "
                    "what the machine does, and predict with that instead of "
                    "the machine description's curves");
  command->add_flag("--force", bench.force,
                    "measure bundles although their source, dtype or targets "
                    "differ; the record says so. (What fell back to dense when "
                    "the bundle was compiled stays dense: compile --force)");
  command
      ->add_option("--json", flags->json,
                   "append a record a cell (schema coppice.results/1); - is "
                   "stdout, and the table then goes to stderr")
      ->type_name("FILE");
  command
      ->add_option("--machine", flags->machine,
                   "machine description (default: that of `probe`, which is "
                   "run where there is none)")
      ->type_name("FILE");
  command
      ->add_option("--max-repeats", bench.maxRepeats,
                   "stop a cell after N pairs of repeats, though the interval "
                   "be wider than 1 %")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(2), int64_t(1) << 30))
      ->type_name("N");
  command
      ->add_option("--max-seconds", bench.maxSeconds,
                   "stop a cell after S seconds likewise")
      ->capture_default_str()
      ->check(CLI::Range(1e-3, 1e9))
      ->type_name("S");
  command
      ->add_option("--seed", bench.seed, "seed of tokens, order and bootstrap")
      ->capture_default_str()
      ->check(seedCheck())
      ->type_name("N");
  addRoutesFlag(*command, bench.routes,
                "bernoulli:expected, with another draw of masks each repeat");
  command->callback([flags, &result] { result = run(*flags); });
}

} // namespace coppice::rt
