// coppice demo: import, prune, compile and bench in one go, on the user's model
// or on a preset. Each step is a command line that is echoed and then run in
// this process, so that a reader can repeat it by hand; on stdout there is the
// one table and nothing else.
#include "Commands.h"
#include "ScratchDirectory.h"
#include "runtime/bench/bench.h"
#include "runtime/bench/calibrate.h"
#include "runtime/bench/machine_file.h"
#include "runtime/bench/record.h"
#include "tools/coppice-run/output.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <list>
#include <memory>

using namespace coppice;
using namespace coppice::driver;

namespace {

struct DemoCommand {
  std::string model = "preset:demo", tokenizer, target = "cpu", directory, json;
  double staticM = -1, staticNK = -1;
  std::vector<int64_t> batches = {1}, seqs = {128};
  int threads = 0;
  double maxSeconds = 10;
};

/// A pruning to measure against the dense bundle.
struct Variant {
  std::string name; ///< as in the table
  std::vector<std::string> flags;
  std::string bundle;
};

int fail(const rt::Status &status) {
  std::fprintf(stderr, "coppice: error: %s\n", status.message().c_str());
  return 1;
}

/// Echoes a command line and runs it.
int echoAndRun(const std::vector<std::string> &arguments) {
  std::string line = "$ coppice";
  for (const std::string &argument : arguments)
    line += " " + argument;
  std::fprintf(stderr, "%s\n", line.c_str());
  return runDriver(arguments);
}

/// "0.5", "0.3333".
std::string shortest(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g", value);
  return text;
}

std::string percent(double sparsity) { return shortest(sparsity * 100) + "%"; }

std::vector<Variant> chooseVariants(const DemoCommand &command) {
  bool isDefault = command.staticM < 0 && command.staticNK < 0;
  double m = isDefault ? 0.5 : command.staticM;
  double nk = isDefault ? 0.5 : command.staticNK;
  std::vector<Variant> variants;
  if (m >= 0)
    variants.push_back(
        {"static M " + percent(m), {"--static-m", shortest(m)}, ""});
  if (nk >= 0)
    variants.push_back(
        {"static NK " + percent(nk), {"--static-nk", shortest(nk)}, ""});
  return variants;
}

/// Imports the model and compiles the dense bundle and each variant's.
int buildBundles(const DemoCommand &command, const std::string &directory,
                 std::vector<Variant> &variants) {
  std::string dense = directory + "/dense.mlir";
  std::vector<std::string> import = {"import", command.model, "-o", dense};
  if (!command.tokenizer.empty())
    import.insert(import.end(), {"--tokenizer", command.tokenizer});
  if (int status = echoAndRun(import))
    return status;
  if (int status =
          echoAndRun({"compile", dense, "-o", directory + "/dense.coppice",
                      "--target", command.target}))
    return status;
  int index = 0;
  for (Variant &variant : variants) {
    std::string base = directory + "/pruned-" + std::to_string(++index);
    std::vector<std::string> prune = {"prune", dense, "-o", base + ".mlir"};
    prune.insert(prune.end(), variant.flags.begin(), variant.flags.end());
    if (int status = echoAndRun(prune))
      return status;
    variant.bundle = base + ".coppice";
    if (int status = echoAndRun({"compile", base + ".mlir", "-o",
                                 variant.bundle, "--target", command.target}))
      return status;
  }
  return 0;
}

/// Collects what a bench run finds.
class Collector final : public rt::BenchListener {
public:
  rt::Status predicted(const rt::BenchContext &context,
                       const std::string &) override {
    std::fprintf(stderr, "predictions written, sha256 %s\n",
                 context.predictionsSha256.c_str());
    for (const std::string &line : context.advice)
      std::fprintf(stderr, "%s\n", line.c_str());
    return {};
  }
  void progress(const rt::Cell &cell, int64_t pairs) override {
    line.show(std::string(rt::nameOf(cell.phase)) + ", batch " +
              std::to_string(cell.batch) + ", seq " + std::to_string(cell.seq) +
              ": " + std::to_string(pairs) + " pairs");
  }
  rt::Status measured(const rt::BenchContext &context,
                      const rt::CellResult &result) override {
    line.clear();
    threads = context.threads;
    target = context.target;
    isa = context.isa;
    machine = *context.machine;
    rows.push_back(rt::tableRow(result));
    records.push_back(rt::resultRecord(context, result));
    for (const std::string &line : result.beatenBounds())
      beaten.push_back(line);
    if (result.cell.phase == rt::Phase::Prefill && result.dense)
      addDenseGemms(*context.dense, *result.dense);
    return {};
  }

  /// FLOP/s of all dense GEMMs of the prefill cells together.
  double denseGemmRate() const { return gemmFlops / gemmSeconds; }

  std::vector<std::string> rows, records, beaten;
  std::string target;
  int threads = 1;
  std::string isa;
  rt::Arithmetic arithmetic = rt::Arithmetic::F32; ///< of the dense GEMMs
  rt::Machine machine;

private:
  rt::ProgressLine line;

  void addDenseGemms(const rt::Program &program, const rt::SideResult &side) {
    for (size_t i = 0; i < side.dispatchSeconds.size(); ++i) {
      if (program.dispatches[i].kind != rt::DispatchKind::Gemm)
        continue;
      arithmetic = side.estimate.dispatches[i].work.arithmetic;
      gemmFlops += side.estimate.dispatches[i].work.flops;
      gemmSeconds += side.dispatchSeconds[i];
    }
  }

  double gemmFlops = 0, gemmSeconds = 0;
};

void printTable(const DemoCommand &command,
                const std::vector<Variant> &variants,
                const std::list<Collector> &results) {
  const Collector &first = results.front();
  std::printf("%s on %s, target %s, %d thread%s, cold caches\n",
              command.model.c_str(), first.machine.cpu.c_str(),
              first.target.c_str(), first.threads,
              first.threads == 1 ? "" : "s");
  std::printf("%-16s %s", "plan", rt::tableHeading(true).c_str());
  const Variant *variant = variants.data();
  for (const Collector &result : results) {
    for (const std::string &row : result.rows)
      std::printf("%-16s %s", variant->name.c_str(), row.c_str());
    ++variant;
  }
  double rate = first.denseGemmRate();
  if (rate > 0)
    std::printf("dense GEMMs in prefill: %.1f GFLOP/s, %.0f %% of the probed "
                "%s peak\n",
                rate / 1e9,
                100 * rate /
                    rt::peakOf(first.machine.at(first.threads).best,
                               first.arithmetic, first.isa),
                std::string(rt::nameOf(first.arithmetic)).c_str());
  for (const Collector &result : results)
    for (const std::string &line : result.beaten)
      std::printf("WARNING: %s\n", line.c_str());
}

int runDemo(const DemoCommand &command) {
  if (rt::Status status = rt::checkAppendable(command.json); !status.ok())
    return fail(status);
  std::unique_ptr<ScratchDirectory> scratch;
  std::string directory = command.directory;
  if (directory.empty()) {
    scratch = std::make_unique<ScratchDirectory>("coppice-demo");
    if (!scratch->valid())
      return 1;
    directory = scratch->path();
  } else {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error)
      return fail(rt::ioError("cannot make directory '" + directory +
                              "': " + error.message()));
  }

  std::vector<Variant> variants = chooseVariants(command);
  if (int status = buildBundles(command, directory, variants))
    return status;
  rt::Result<rt::Machine> machine = rt::machineToPredictFor("");
  if (!machine)
    return fail(machine.status());

  // Efficiencies come from the dense bundle alone; what pruning does to time is
  // predicted.
  rt::CalibrateOptions calibration;
  calibration.bundles = {directory + "/dense.coppice"};
  calibration.threads = command.threads;
  calibration.rows = {1, 16};
  for (int64_t batch : command.batches)
    for (int64_t seq : command.seqs)
      calibration.rows.insert(calibration.rows.end(), {batch, batch * seq});
  calibration.cached = command.seqs;
  rt::Status calibrated = rt::calibrate(*machine, calibration);
  if (!calibrated.ok())
    return fail(calibrated);

  std::list<Collector> results;
  for (const Variant &variant : variants) {
    rt::BenchOptions options;
    options.pruned = variant.bundle;
    options.dense = directory + "/dense.coppice";
    options.batches = command.batches;
    options.seqs = command.seqs;
    options.threads = command.threads;
    options.maxSeconds = command.maxSeconds;
    std::fprintf(stderr, "$ coppice bench %s --dense %s\n",
                 options.pruned.c_str(), options.dense.c_str());
    results.emplace_back();
    rt::Status status = rt::runBench(options, *machine, results.back());
    if (!status.ok())
      return fail(status);
  }
  printTable(command, variants, results);
  if (!command.json.empty())
    for (const Collector &result : results)
      for (const std::string &record : result.records)
        if (rt::Status status = rt::appendLine(command.json, record);
            !status.ok())
          return fail(status);
  return 0;
}

} // namespace

void coppice::driver::addDemoCommand(CLI::App &app, int &exitCode) {
  auto command = std::make_shared<DemoCommand>();
  CLI::App *demo = app.add_subcommand(
      "demo", "import, prune, compile and bench in one go; one table");
  demo->add_option("--model", command->model,
                   "Hugging Face directory, llama2.c .bin or preset:NAME "
                   "(default: preset:demo)");
  demo->add_option("--tokenizer", command->tokenizer, "passed on to import");
  demo->add_option("--static-m", command->staticM,
                   "share of sublayers to skip (default, with no sparsity "
                   "given: 0.5 of each kind)")
      ->check(CLI::Range(0.0, 1.0));
  demo->add_option("--static-nk", command->staticNK,
                   "share of KV-head groups and FFN channels to remove")
      ->check(CLI::Range(0.0, 1.0));
  demo->add_option("--target", command->target, "passed on to compile");
  demo->add_option("--batch", command->batches, "as in bench (default: 1)")
      ->delimiter(',')
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20));
  demo->add_option("--seq", command->seqs, "as in bench (default: 128)")
      ->delimiter(',')
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20));
  demo->add_option("--threads", command->threads,
                   "threads (default: all of this process)")
      ->check(CLI::Range(1, 4096));
  demo->add_option("--max-seconds", command->maxSeconds,
                   "cap of each cell (default: 10)")
      ->check(CLI::Range(0.0, 1e9));
  demo->add_option("--keep", command->directory,
                   "keep modules and bundles in this directory");
  demo->add_option("--json", command->json,
                   "append a coppice.results/1 object a cell to this file; - "
                   "is stdout");
  demo->callback([command, &exitCode] { exitCode = runDemo(*command); });
}
