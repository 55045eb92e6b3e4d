// coppice-run probe: measures this machine and writes machine.json.
#include "runtime/bench/probe.h"
#include "runtime/base/atomic_file.h"
#include "runtime/bench/calibrate.h"
#include "tools/coppice-run/output.h"
#include "tools/coppice-run/subcommands.h"

#include <algorithm>
#include <cstdio>
#include <memory>

namespace coppice::rt {

namespace {
struct Flags {
  std::string output;
  std::vector<std::string> calibrate;
  std::vector<int> threads;
  std::vector<int64_t> rows = CalibrateOptions().rows;
};
} // namespace

/// Kernels run with one thread and with all: what is between takes the nearest
/// curve.
static Status calibrateAll(const Flags &flags, Machine &machine,
                           ProgressLine &line) {
  if (flags.calibrate.empty())
    return {};
  std::vector<int> counts{machine.ceilings.front().threads};
  if (machine.ceilings.size() > 1)
    counts.push_back(machine.ceilings.back().threads);
  for (int threads : counts) {
    CalibrateOptions options;
    options.bundles = flags.calibrate;
    options.threads = threads;
    options.rows = flags.rows;
    options.progress = [&](const std::string &text) { line.show(text); };
    if (Status status = calibrate(machine, options); !status.ok())
      return status;
  }
  return {};
}

static std::string gigas(double best, double typical) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f (%.1f)", best / 1e9, typical / 1e9);
  return best > 0 ? text : "-";
}

/// What was found, for people.
static void print(const Machine &machine) {
  std::fprintf(stderr, "%s, %s; caches", machine.cpu.c_str(),
               machine.isa.c_str());
  for (int level = 0; level < cacheLevels; ++level)
    if (machine.caches[level].bytes > 0)
      std::fprintf(stderr, " L%d %lld KiB%s", level + 1,
                   static_cast<long long>(machine.caches[level].bytes >> 10),
                   machine.caches[level].shared ? " shared" : "");
  std::fprintf(stderr,
               "\nbest (typical), GFLOP/s and GB/s read:\n%7s %16s %16s %16s "
               "%14s %8s %8s %8s %12s\n",
               "threads", "f32", "bf16 dot", "f32 avx2", "DRAM", "L1", "L2",
               "L3", "dispatch us");
  for (const Ceilings &c : machine.ceilings)
    std::fprintf(stderr, "%7d %16s %16s %16s %14s %8.0f %8.0f %8.0f %12.2f\n",
                 c.threads, gigas(c.best.f32, c.typical.f32).c_str(),
                 gigas(c.best.bf16, c.typical.bf16).c_str(),
                 gigas(c.best.f32Avx2, c.typical.f32Avx2).c_str(),
                 gigas(c.best.dram, c.typical.dram).c_str(),
                 c.cacheRead[0] / 1e9, c.cacheRead[1] / 1e9,
                 c.cacheRead[2] / 1e9, c.dispatchSeconds * 1e6);
  for (const Curve &curve : machine.curves) {
    if (curve.isAssumed())
      continue;
    std::fprintf(stderr, "%s %s %s, %s, %d threads; rows%s: fraction, fixed us",
                 curve.key.kind.c_str(), curve.key.arithmetic.c_str(),
                 curve.key.storage.c_str(), curve.key.isa.c_str(),
                 curve.key.threads,
                 curve.points.back().depth ? " x depth" : "");
    for (const CurvePoint &point : curve.points) {
      std::fprintf(stderr, "; %lld", static_cast<long long>(point.rows));
      if (point.depth > 0)
        std::fprintf(stderr, "x%lld", static_cast<long long>(point.depth));
      std::fprintf(stderr, ": %.2f, %.1f", point.fraction,
                   point.fixedSeconds * 1e6);
    }
    std::fprintf(stderr, "\n");
  }
}

static Status run(const Flags &flags) {
  std::string path = flags.output.empty() ? defaultMachinePath() : flags.output;
  if (path.empty())
    return invalidArgument("expected a place for machine.json, found neither "
                           "XDG_CACHE_HOME nor HOME; name one with -o");
  ProbeOptions options;
  options.threads = flags.threads;
  std::sort(options.threads.begin(), options.threads.end());
  options.threads.erase(
      std::unique(options.threads.begin(), options.threads.end()),
      options.threads.end());
  ProgressLine line;
  options.progress = [&](int threads) {
    line.show("probing with " + std::to_string(threads) + " threads");
  };
  Result<Machine> machine = probeMachine(options);
  if (!machine)
    return machine.status();
  if (Status status = calibrateAll(flags, *machine, line); !status.ok())
    return status;
  line.clear();
  print(*machine);
  if (path == "-")
    return appendLine("-", machine->json());
  if (flags.output.empty())
    if (Status status = makeParents(path); !status.ok())
      return status;
  if (Status status = writeFile(path, machine->json() + "\n"); !status.ok())
    return status;
  std::fprintf(stderr, "wrote %s\n", path.c_str());
  return {};
}

void addProbe(CLI::App &app, Status &result) {
  auto flags = std::make_shared<Flags>();
  CLI::App *command = app.add_subcommand(
      "probe", "Measure this machine's ceilings and write machine.json");
  command
      ->add_option("-o,--output", flags->output,
                   "file to write, replaced atomically; - is stdout (default: "
                   "coppice/machine.json in $XDG_CACHE_HOME or ~/.cache)")
      ->type_name("FILE");
  command
      ->add_option("--threads", flags->threads,
                   "numbers of threads to probe (default: 1 to 8, powers of "
                   "two beyond, and all)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 4096))
      ->type_name("N,..");
  command
      ->add_option("--calibrate", flags->calibrate,
                   "run these bundles and take over how near their kernels "
                   "come to the ceilings, with one thread and with all; "
                   "predictions need it to be good")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("BUNDLE,..");
  command
      ->add_option("--rows", flags->rows,
                   "rows of the steps that --calibrate runs")
      ->capture_default_str()
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->type_name("N,..");
  command->callback([flags, &result] { result = run(*flags); });
}

} // namespace coppice::rt
