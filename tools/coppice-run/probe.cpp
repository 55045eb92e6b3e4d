// coppice-run probe: measures this machine and writes machine.json.
#include "runtime/bench/probe.h"
#include "runtime/base/atomic_file.h"
#include "runtime/bench/bench.h"
#include "tools/coppice-run/output.h"
#include "tools/coppice-run/subcommands.h"

#include <algorithm>
#include <cstdio>
#include <memory>

namespace coppice::rt {

namespace {
struct Flags {
  std::string output, calibrate;
  std::vector<int> threads;
  int64_t seq = 64;
};
} // namespace

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
  if (!flags.calibrate.empty()) {
    line.show("measuring efficiencies on " + flags.calibrate);
    if (Status status = calibrate(*machine, flags.calibrate,
                                  machine->ceilings.back().threads, flags.seq);
        !status.ok())
      return status;
  }
  line.clear();

  for (const Ceilings &c : machine->ceilings)
    std::fprintf(stderr,
                 "%2d threads: %7.1f GFLOP/s f32, %6.1f GB/s from DRAM, %7.1f "
                 "GB/s from cache, %.2f us a dispatch\n",
                 c.threads, c.flopsPerSecond / 1e9,
                 c.dramReadBytesPerSecond / 1e9,
                 c.cacheReadBytesPerSecond / 1e9, c.dispatchSeconds * 1e6);
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
                   "run this bundle and take over the efficiency of each kind "
                   "of dispatch; predictions need it to be good")
      ->type_name("BUNDLE");
  command
      ->add_option("--seq", flags->seq,
                   "tokens of the prefill that --calibrate runs")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->type_name("N");
  command->callback([flags, &result] { result = run(*flags); });
}

} // namespace coppice::rt
