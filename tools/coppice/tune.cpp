// coppice tune: times candidate configurations of a model's matrix products on
// this machine, and notes the best where `compile` looks for them.
#include "Commands.h"
#include "ModuleFile.h"

#include "coppice/Dialect/Exec/IR/Exec.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Pipelines/Pipelines.h"
#include "coppice/Tune/TuneGemms.h"
#include "coppice/Tune/TuningCache.h"
#include "runtime/bench/host.h"
#include "runtime/cpu/thread_count.h"
#include "runtime/cpu/thread_pool.h"
#include "tools/coppice-run/output.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Path.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

using namespace mlir;
using namespace coppice;
using namespace coppice::driver;

namespace {

struct TuneCommand {
  std::string input, cache, json;
  int threads = 0;
  TuneOptions options;
};

int fail(const std::string &message) {
  std::fprintf(stderr, "coppice: error: %s\n", message.c_str());
  return 1;
}

/// Brings the module to the form in which its products are kernels.
LogicalResult lower(ModuleOp module, StringRef directory) {
  PassManager manager(module.getContext());
  WalkResult applied =
      module.walk([](prune::GemmOp) { return WalkResult::interrupt(); });
  if (!applied.wasInterrupted()) {
    prune::PruneApplyPlanOptions plan;
    plan.directory = directory.str();
    manager.addPass(prune::createPruneApplyPlan(plan));
  }
  buildPruneToExecPipeline(manager, ExecPipelineOptions());
  return manager.run(module);
}

std::string textOf(const GemmConfig &config, MLIRContext *context) {
  std::string text;
  llvm::raw_string_ostream(text) << config.toAttr(context);
  return text;
}

std::string rowsText(const RowBucket &bucket) {
  if (bucket.least == bucket.most)
    return std::to_string(bucket.least);
  if (bucket.most == std::numeric_limits<int64_t>::max())
    return std::to_string(bucket.least) + "..";
  return std::to_string(bucket.least) + ".." + std::to_string(bucket.most);
}

void printRow(const TuningEntry &entry, const TunedGemm &tuned) {
  std::printf("%6lld x %-6lld %-8s %9s %10.1f %10.1f %7.3fx  %s\n",
              (long long)entry.gemm.n, (long long)entry.gemm.k,
              entry.gemm.weightBytes == 4 ? "f32" : "bf16",
              rowsText(entry.bucket).c_str(), entry.defaultSeconds * 1e6,
              entry.seconds * 1e6, tuned.gain(),
              tuned.best == 0 ? "the cost model's choice"
                              : entry.config.c_str());
  std::fflush(stdout);
}

nlohmann::json toJson(const TuningEntry &entry, const TunedGemm &tuned,
                      MLIRContext *context) {
  nlohmann::json candidates = nlohmann::json::array();
  for (const TunedGemm::Timing &timing : tuned.candidates)
    candidates.push_back({{"config", textOf(timing.config, context)},
                          {"seconds", timing.seconds}});
  return {{"schema", "coppice.tune/1"},
          {"n", entry.gemm.n},
          {"k", entry.gemm.k},
          {"weight_bytes", entry.gemm.weightBytes},
          {"input_bytes", entry.gemm.inputBytes},
          {"weights", entry.gemm.weights},
          {"rows", tuned.rows},
          {"threads", entry.threads},
          {"isa", entry.isa},
          {"cpu", entry.cpu},
          {"version", entry.version},
          {"date", entry.date},
          {"config", entry.config},
          {"gain", tuned.gain()},
          {"candidates", candidates}};
}

int runTune(TuneCommand command) {
  if (command.cache.empty())
    command.cache = TuningCache::defaultPath();
  if (command.cache.empty())
    return fail("neither XDG_CACHE_HOME nor HOME says where to keep what is "
                "measured: name a file by --cache");
  if (rt::Status status = rt::checkAppendable(command.json); !status.ok())
    return fail(status.message());
  std::string message;
  FailureOr<CPUTarget> target = CPUTarget::parse("host", message);
  if (failed(target))
    return fail(message);
  command.options.target = *target;

  ModuleSession session;
  OwningOpRef<ModuleOp> module = session.read(command.input);
  if (!module ||
      failed(lower(*module, llvm::sys::path::parent_path(command.input))))
    return 1;
  auto kernels = module->lookupSymbol<ModuleOp>(exec::kernelsModuleName);
  std::vector<GemmClass> classes = findGemmClasses(kernels);

  rt::ThreadPool pool(command.threads > 0 ? command.threads
                                          : rt::usableThreads());
  std::printf("%s, %s, %d thread%s; entries go to %s\n", rt::cpuName().c_str(),
              target->name().str().c_str(), pool.threads(),
              pool.threads() == 1 ? "" : "s", command.cache.c_str());
  std::printf("%6s x %-6s %-8s %9s %10s %10s %8s  %s\n", "n", "k", "weights",
              "rows", "default_us", "best_us", "gain", "configuration");
  for (const GemmClass &gemm : classes)
    for (const RowBucket &bucket : gemmRowBuckets()) {
      llvm::Expected<TunedGemm> tuned =
          tuneGemm(gemm, bucket, command.options, pool);
      if (!tuned)
        return fail(llvm::toString(tuned.takeError()));
      const TunedGemm::Timing &best = tuned->candidates[tuned->best];
      TuningEntry entry{gemm,
                        bucket,
                        rt::cpuName(),
                        target->name().str(),
                        TuningCache::currentVersion(),
                        pool.threads(),
                        textOf(best.config, &session.context()),
                        best.seconds,
                        tuned->candidates.front().seconds,
                        rt::utcNow()};
      if (llvm::Error error = TuningCache::append(command.cache, entry))
        return fail(llvm::toString(std::move(error)));
      if (command.json != "-")
        printRow(entry, *tuned);
      if (!command.json.empty())
        if (rt::Status status = rt::appendLine(
                command.json, toJson(entry, *tuned, &session.context()).dump());
            !status.ok())
          return fail(status.message());
    }
  return 0;
}

} // namespace

void coppice::driver::addTuneCommand(CLI::App &app, int &exitCode) {
  auto command = std::make_shared<TuneCommand>();
  CLI::App *tune = app.add_subcommand(
      "tune", "time configurations of a model's matrix products on this "
              "machine; compile takes the best from then on");
  tune->add_option("module", command->input, "model.mlir or pruned.mlir")
      ->required();
  tune->add_option("--cache", command->cache,
                   "where entries are kept "
                   "[$XDG_CACHE_HOME/coppice/tuning.jsonl]");
  tune->add_option("--threads", command->threads,
                   "threads [all of this process]")
      ->check(CLI::Range(1, 4096));
  tune->add_option("--max-seconds", command->options.maxSeconds,
                   "for one class and row count, compiling not counted [2]")
      ->check(CLI::Range(0.0, 3600.0));
  tune->add_option("--json", command->json,
                   "append one coppice.tune/1 object a class and row count to "
                   "this file; - is stdout");
  tune->callback([command, &exitCode] { exitCode = runTune(*command); });
}
