// coppice verify: compiles a module twice, fast and as the oracle, runs both on
// the same ragged steps and prints how far apart they are.
#include "coppice/Verify/Verify.h"
#include "Commands.h"
#include "ScratchDirectory.h"
#include "coppice/Emulator/EmulatorDevice.h"
#include "runtime/routes/route_source.h"
#include "tools/coppice-run/output.h"
#include "tools/coppice-run/seed_check.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

using namespace coppice;
using namespace coppice::driver;

namespace {

struct VerifyCommand {
  std::string input, target = "cpu", bundle, json;
  bool fallback = false;
  EmulatorOptions emulator;
  CompareOptions compare;
};

/// Compiles what is not there yet. Returns the paths of the fast bundle and of
/// the oracle's, or an exit code.
int compileBoth(const VerifyCommand &command, const std::string &directory,
                std::string &fast, std::string &oracle) {
  std::string batch = std::to_string(command.compare.workload.batch);
  std::string length = std::to_string(command.compare.workload.length);
  // A prompt is one step of all sequences.
  std::string rows = std::to_string(command.compare.workload.batch *
                                    command.compare.workload.length);
  std::vector<std::string> common = {
      "compile", command.input, "--max-batch", batch,        "--max-context",
      length,    "--max-rows",  rows,          "--allow-nan"};
  fast = command.bundle;
  if (fast.empty()) {
    fast = directory + "/fast.coppice";
    std::vector<std::string> arguments = common;
    arguments.insert(arguments.end(), {"-o", fast, "--target", command.target});
    // Code that is not run here need not be compiled.
    if (command.target == "cpu")
      arguments.insert(arguments.end(), {"--isa", command.compare.isa.empty()
                                                      ? "host"
                                                      : command.compare.isa});
    if (!command.fallback)
      arguments.push_back("--force");
    if (int status = runDriver(arguments))
      return status;
  }
  oracle = directory + "/oracle.coppice";
  std::vector<std::string> arguments = common;
  // What the fast path stores in bf16 the oracle rounds too: such a rounding is
  // no error, and a tolerance with room for it would hide some.
  arguments.insert(arguments.end(),
                   {"-o", oracle, "--oracle", "--round-like", fast});
  return runDriver(arguments);
}

void printValues(const std::vector<ValueError> &values) {
  for (const ValueError &value : values)
    std::printf("%-28s %10.2e %10.1e  %s\n", value.name.c_str(), value.error,
                value.tolerance, value.holds() ? "" : "beyond tolerance");
}

nlohmann::json toJson(const std::vector<ValueError> &values) {
  nlohmann::json list = nlohmann::json::array();
  for (const ValueError &value : values)
    list.push_back({{"name", value.name},
                    {"error", value.error},
                    {"tolerance", value.tolerance},
                    {"rows", value.rows},
                    {"holds", value.holds()}});
  return list;
}

/// Null for a program without routes.
nlohmann::json toJson(const RouteReport &routes) {
  if (routes.routes == 0)
    return nullptr;
  return {{"routes", routes.routes},
          {"rows", routes.rows},
          {"kept", routes.kept},
          {"decided", routes.decided},
          {"disagreements", routes.disagreements},
          {"largest_margin", routes.largestMargin},
          {"tolerance", routes.tolerance},
          {"holds", routes.holds()}};
}

/// Null for a program without choices of blocks.
nlohmann::json toJson(const BlocksReport &blocks) {
  if (blocks.lists == 0)
    return nullptr;
  // JSON has no number for a disagreement that no score can explain.
  nlohmann::json margin = nullptr;
  if (std::isfinite(blocks.largestMargin))
    margin = blocks.largestMargin;
  return {{"lists", blocks.lists},
          {"disagreements", blocks.disagreements},
          {"largest_margin", margin},
          {"tolerance", blocks.tolerance},
          {"holds", blocks.holds()}};
}

int fail(const std::string &message) {
  std::fprintf(stderr, "coppice: error: %s\n", message.c_str());
  return 1;
}

int runVerify(const VerifyCommand &command) {
  const WorkloadOptions &workload = command.compare.workload;
  constexpr int64_t mostRows = int64_t(1) << 24; // of one step, see compile
  if (workload.batch * workload.length > mostRows)
    return fail("expected at most " + std::to_string(mostRows) +
                " tokens in all (--batch times --seq), found " +
                std::to_string(workload.batch * workload.length));
  if (rt::Status status = rt::checkAppendable(command.json); !status.ok())
    return fail(status.message());
  ScratchDirectory scratch("coppice-verify");
  if (!scratch.valid())
    return 1;
  EmulatorOptions emulator = command.emulator;
  emulator.seed = workload.seed;
  addEmulatorDevice(emulator);
  std::string fast, oracle;
  if (int status = compileBoth(command, scratch.path(), fast, oracle))
    return status;

  llvm::Expected<VerifyReport> report =
      compareBundles(fast, oracle, command.compare);
  if (!report)
    return fail(llvm::toString(report.takeError()));

  if (command.json != "-") {
    std::printf("%s: %lld steps, %lld rows, batch %lld, seed %llu\n",
                command.input.c_str(), (long long)report->steps,
                (long long)report->rows, (long long)workload.batch,
                (unsigned long long)workload.seed);
    std::printf("fast kernels %lld/%lld\n", (long long)report->fastKernels,
                (long long)report->dispatches);
    if (const RouteReport &routes = report->routes; routes.routes > 0)
      std::printf("routes %lld, rows kept %lld of %lld, disagreements %lld "
                  "(largest margin %.2g)%s\n",
                  (long long)routes.routes, (long long)routes.kept,
                  (long long)routes.rows, (long long)routes.disagreements,
                  routes.largestMargin,
                  routes.holds() ? "" : "  beyond tolerance");
    if (const BlocksReport &blocks = report->blocks; blocks.lists > 0)
      std::printf("lists of blocks %lld, disagreements %lld (largest margin "
                  "%.2g)%s\n",
                  (long long)blocks.lists, (long long)blocks.disagreements,
                  blocks.largestMargin,
                  blocks.holds() ? "" : "  beyond tolerance");
    std::printf("%-28s %10s %10s\n", "value", "error", "tolerance");
    printValues(report->outputs);
    printValues(report->sites);
    if (!report->holds() && report->hasThresholds)
      std::printf("thresholds: values beside one may round to either side of "
                  "it in 16 bit; what `coppice import --dtype "
                  "f32` makes of the model can be compared closely\n");
    std::printf("%s\n", report->holds() ? "holds" : "DOES NOT HOLD");
  }
  if (!command.json.empty()) {
    nlohmann::json record = {{"schema", "coppice.verify/1"},
                             {"input", command.input},
                             {"holds", report->holds()},
                             {"fast_kernels", report->fastKernels},
                             {"dispatches", report->dispatches},
                             {"batch", workload.batch},
                             {"seq", workload.length},
                             {"seed", workload.seed},
                             {"steps", report->steps},
                             {"rows", report->rows},
                             {"routes", toJson(report->routes)},
                             {"blocks", toJson(report->blocks)},
                             {"outputs", toJson(report->outputs)},
                             {"sites", toJson(report->sites)}};
    rt::Status written = rt::appendLine(command.json, record.dump());
    if (!written.ok())
      return fail(written.message());
  }
  return report->holds() ? 0 : 1;
}

} // namespace

void coppice::driver::addVerifyCommand(CLI::App &app, int &exitCode) {
  auto command = std::make_shared<VerifyCommand>();
  CLI::App *verify = app.add_subcommand(
      "verify", "check the fast path against the oracle (dense times mask)");
  verify->add_option("input", command->input, "pruned or dense module (.mlir)")
      ->required();
  verify->add_option("--target", command->target,
                     "target of the fast path; emu:sm_80 executes kernels for "
                     "GPUs on the CPU and reports races, missing waits and "
                     "accesses out of bounds (default: cpu)");
  verify
      ->add_option("--copies", command->emulator.copies,
                   "of emu: when asynchronous copies move their bytes: late, "
                   "early or random (default: late)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, CopyTime>{{"late", CopyTime::Late},
                                          {"early", CopyTime::Early},
                                          {"random", CopyTime::Random}}));
  verify->add_option("--isa", command->compare.isa,
                     "instruction set of the fast path (default: the best that "
                     "this machine runs)");
  verify->add_option("--bundle", command->bundle,
                     "check this bundle of the module, instead of compiling");
  verify->add_flag(
      "--fallback", command->fallback,
      "let the fast path run dense where skipping is predicted not "
      "to pay, as compile does (default: as compile --force)");
  verify
      ->add_option("--batch", command->compare.workload.batch,
                   "sequences, of unequal lengths (default: 3)")
      ->check(CLI::Range(1, 1024));
  verify
      ->add_option("--seq", command->compare.workload.length,
                   "tokens of the longest sequence (default: 24)")
      ->check(CLI::Range(1, 1 << 20));
  verify
      ->add_option("--seed", command->compare.workload.seed,
                   "seed of token ids and lengths (default: 0)")
      ->check(rt::seedCheck());
  verify
      ->add_option("--threads", command->compare.threads,
                   "threads (default: all of this process)")
      ->check(CLI::Range(1, 4096));
  verify
      ->add_option(
          "--routes", command->compare.routes,
          std::string(rt::routeSourceHelp) +
              " (default: a mix of routers and masks that are special)")
      ->type_name("SPEC");
  verify->add_option("--json", command->json,
                     "append one coppice.verify/1 object to this file; - is "
                     "stdout");
  verify->callback([command, &exitCode] { exitCode = runVerify(*command); });
}
