// coppice predict: what a module will take on a machine, dense and pruned,
// without running anything and without its weights. The module is compiled as
// far as an exec program; the cost model of the runtime does the rest.
#include "Commands.h"
#include "ModuleFile.h"
#include "ScratchDirectory.h"
#include "runtime/base/concat.h"
#include "runtime/bench/host.h"
#include "runtime/bench/machine_file.h"
#include "runtime/costmodel/advice.h"
#include "runtime/costmodel/estimate.h"
#include "runtime/costmodel/explain.h"
#include "tools/coppice-run/output.h"

#include "coppice/Bundle/CompileBundle.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

using namespace coppice;
using namespace coppice::driver;

namespace {

struct PredictCommand {
  std::string input, dense, machine, isa, json;
  std::vector<std::string> phases = {"prefill", "decode"}, explain;
  std::vector<int64_t> batches = {1}, seqs = {128};
  int threads = 0;
  bool ops = false, hot = false, force = false;
};

/// One side of the comparison.
struct Side {
  rt::Program program;
  std::optional<rt::Estimate> estimate; ///< of the present cell
};

struct Prediction {
  const PredictCommand &command;
  rt::Machine machine;
  int threads = 1;
  std::string isa;
  Side pruned;
  std::optional<Side> dense;
};

int fail(const std::string &message) {
  std::fprintf(stderr, "coppice: error: %s\n", message.c_str());
  return 1;
}

/// What nobody asks any more: routers, and what forces them.
void removeRouters(mlir::func::FuncOp forward) {
  for (mlir::Operation &op :
       llvm::make_early_inc_range(llvm::reverse(forward.getBody().front())))
    if (mlir::isOpTriviallyDead(&op))
      op.erase();
  for (unsigned i = forward.getNumArguments(); i-- > 0;)
    if (auto step = forward.getArgAttrOfType<mlir::StringAttr>(
            i, decoder::kStepAttrName);
        step && step == "routes" && forward.getArgument(i).use_empty())
      (void)forward.eraseArgument(i);
}

/// The dense program that a pruned module was made from: its projections, and
/// zeros in what products read, are all there is of the plan (but for lists of
/// blocks, and the scale of `scaled`, which stay).
void removePlan(mlir::ModuleOp module) {
  module.walk([](prune::ProjectOp project) {
    project.getResult().replaceAllUsesWith(project.getInput());
    project.erase();
  });
  module.walk([](prune::ReplaceOp replace) {
    replace.getResult().replaceAllUsesWith(replace.getWeight());
    replace.erase();
  });
  module.walk([](prune::ProjectByOp project) {
    project.getResult().replaceAllUsesWith(project.getInput());
    project.erase();
  });
  module.walk([](prune::GemmOp gemm) {
    auto select = gemm.getInput().getDefiningOp<mlir::linalg::GenericOp>();
    if (gemm.getInputZeros() && select && select.getNumDpsInputs() == 1)
      gemm.getInputMutable().assign(select.getDpsInputs()[0]);
    gemm.removeInputZerosAttr();
  });
  module.walk([](prune::PlanOp plan) { plan.erase(); });
  if (auto forward = module.lookupSymbol<mlir::func::FuncOp>("forward"))
    removeRouters(forward);
}

bool hasPlan(mlir::ModuleOp module) {
  return module
      .walk([](mlir::Operation *op) {
        return mlir::isa<prune::ProjectOp, prune::ReplaceOp, prune::PlanOp>(op)
                   ? mlir::WalkResult::interrupt()
                   : mlir::WalkResult::advance();
      })
      .wasInterrupted();
}

/// Compiles as far as costs; empty after an error has been printed.
std::optional<Side> toProgram(mlir::ModuleOp module,
                              const PredictCommand &command) {
  CompileOptions options;
  options.maxBatch =
      *std::max_element(command.batches.begin(), command.batches.end());
  options.force = command.force;
  options.talk = &llvm::errs();
  auto text = compileToCosts(module, options);
  if (failed(text))
    return std::nullopt;
  rt::Result<rt::Program> program = rt::parseProgram(*text);
  if (!program) {
    fail(program.status().message());
    return std::nullopt;
  }
  return Side{*std::move(program), std::nullopt};
}

/// Reads what the command names: a module, or a preset, which is imported
/// first.
mlir::OwningOpRef<mlir::ModuleOp> readInput(ModuleSession &session,
                                            const std::string &input,
                                            const std::string &scratch) {
  if (input.rfind("preset:", 0) != 0)
    return session.read(input);
  std::string path = scratch + "/preset.mlir";
  if (runDriver({"import", input, "-o", path}) != 0)
    return nullptr;
  return session.read(path);
}

/// Fills in the programs; an exit code.
int compileSides(Prediction &prediction) {
  const PredictCommand &command = prediction.command;
  ScratchDirectory scratch("coppice-predict");
  if (!scratch.valid())
    return 1;
  ModuleSession session;
  auto module = readInput(session, command.input, scratch.path());
  if (!module)
    return 1;
  mlir::OwningOpRef<mlir::ModuleOp> dense;
  if (!command.dense.empty()) {
    dense = readInput(session, command.dense, scratch.path());
    if (!dense)
      return 1;
  } else if (hasPlan(*module)) {
    dense = module->clone();
    removePlan(*dense);
  }
  auto pruned = toProgram(*module, command);
  if (!pruned)
    return 1;
  prediction.pruned = *std::move(pruned);
  if (!dense)
    return 0;
  prediction.dense = toProgram(*dense, command);
  if (!prediction.dense)
    return 1;
  const rt::Model &a = prediction.pruned.program.model,
                  &b = prediction.dense->program.model;
  if (a.sourceSha256 != b.sourceSha256 || a.dtype != b.dtype)
    return fail(rt::concat("expected two modules of one model, found ", a.name,
                           " (", a.dtype, ") and ", b.name, " (", b.dtype,
                           ")"));
  return 0;
}

rt::Status estimateSide(const Prediction &prediction, const rt::Cell &cell,
                        Side &side) {
  const rt::Limits &limits = side.program.limits;
  bool decode = cell.phase == rt::Phase::Decode;
  int64_t context = std::min(limits.context, cell.seq + decode);
  auto steps = rt::planSteps(cell, std::min(limits.rows, cell.batch * cell.seq),
                             cell.batch, context);
  if (!steps)
    return steps.status();
  auto made =
      rt::estimate(side.program, *steps, prediction.machine, prediction.isa,
                   prediction.threads, prediction.command.hot);
  if (!made)
    return made.status();
  side.estimate = *std::move(made);
  return {};
}

std::string heading(bool hasDense) {
  char line[256];
  if (hasDense)
    std::snprintf(line, sizeof line,
                  "%-8s %5s %6s %11s %11s %11s %11s %10s %8s\n", "phase",
                  "batch", "seq", "dense_ms", "bound_ms", "pruned_ms",
                  "bound_ms", "predicted", "ideal");
  else
    std::snprintf(line, sizeof line, "%-8s %5s %6s %11s %11s %9s\n", "phase",
                  "batch", "seq", "predicted", "bound_ms", "of bound");
  return line;
}

std::string row(const Prediction &prediction, const rt::Cell &cell) {
  const rt::Estimate &pruned = *prediction.pruned.estimate;
  char line[256];
  int used = std::snprintf(
      line, sizeof line, "%-8s %5lld %6lld", rt::nameOf(cell.phase),
      static_cast<long long>(cell.batch), static_cast<long long>(cell.seq));
  char *rest = line + used;
  size_t room = sizeof line - static_cast<size_t>(used);
  if (!prediction.dense) {
    std::snprintf(rest, room, " %11.4f %11.4f %8.0f%%\n",
                  pruned.predictedSeconds * 1e3, pruned.boundSeconds * 1e3,
                  100 * pruned.boundSeconds / pruned.predictedSeconds);
    return line;
  }
  const rt::Estimate &dense = *prediction.dense->estimate;
  std::snprintf(rest, room, " %11.4f %11.4f %11.4f %11.4f %9.3fx %7.3fx\n",
                dense.predictedSeconds * 1e3, dense.boundSeconds * 1e3,
                pruned.predictedSeconds * 1e3, pruned.boundSeconds * 1e3,
                dense.predictedSeconds / pruned.predictedSeconds,
                dense.boundSeconds / pruned.boundSeconds);
  return line;
}

nlohmann::json opsJson(const Side &side) {
  nlohmann::json list = nlohmann::json::array();
  for (size_t i = 0; i < side.program.dispatches.size(); ++i) {
    const rt::Dispatch &d = side.program.dispatches[i];
    const rt::DispatchEstimate &e = side.estimate->dispatches[i];
    bool gemm = d.gemm.has_value();
    auto extent = [&](int64_t value) {
      return gemm ? nlohmann::json(value) : nlohmann::json();
    };
    list.push_back({{"site", d.site},
                    {"kind", std::string(rt::nameOf(d.kind))},
                    {"m", extent(e.work.m)},
                    {"n", extent(e.work.n)},
                    {"k", extent(e.work.k)},
                    {"flops", e.work.flops},
                    {"bytes", e.work.bytes()},
                    {"cold_bytes", e.work.coldBytes},
                    {"limit", rt::nameOf(e.steps.back().limit)},
                    {"bound_s", e.boundSeconds},
                    {"predicted_s", e.predictedSeconds}});
  }
  return list;
}

/// Where pruning is predicted to cost more than it saves in the present cell.
std::vector<rt::Advice> advise(const Prediction &prediction) {
  if (!prediction.dense)
    return {};
  return rt::adviseAgainst(
      prediction.dense->program, *prediction.dense->estimate,
      prediction.pruned.program, *prediction.pruned.estimate);
}

nlohmann::json toJson(const std::vector<rt::Advice> &advice) {
  nlohmann::json list = nlohmann::json::array();
  for (const rt::Advice &one : advice)
    list.push_back(
        {{"site", one.site}, {"predicted_speedup", one.predictedSpeedup}});
  return list;
}

nlohmann::json toJson(const Prediction &prediction, const rt::Cell &cell,
                      const std::vector<rt::Advice> &advice) {
  const rt::Program &program = prediction.pruned.program;
  const rt::Estimate &pruned = *prediction.pruned.estimate;
  const rt::Estimate *dense =
      prediction.dense ? &*prediction.dense->estimate : nullptr;
  auto known = [&](double value) {
    return dense ? nlohmann::json(value) : nlohmann::json();
  };
  nlohmann::json record = {
      {"schema", "coppice.predict/1"},
      {"model", program.model.name},
      {"source_sha256", program.model.sourceSha256},
      {"plan", program.plan.summary},
      {"family", program.plan.family},
      {"sparsity", program.plan.sparsity},
      {"dtype", program.model.dtype},
      {"phase", rt::nameOf(cell.phase)},
      {"batch", cell.batch},
      {"seq", cell.seq},
      {"device", prediction.machine.cpu},
      {"isa", prediction.isa},
      {"threads", prediction.threads},
      {"cache", prediction.command.hot ? "hot" : "cold"},
      {"date", rt::utcNow()},
      {"commit", rt::buildCommit()},
      {"machine_sha256", prediction.machine.sha256()},
      {"pruned_predicted_s", pruned.predictedSeconds},
      {"bound_s", pruned.boundSeconds},
      {"dense_predicted_s", known(dense ? dense->predictedSeconds : 0)},
      {"dense_bound_s", known(dense ? dense->boundSeconds : 0)},
      {"predicted_speedup",
       known(dense ? dense->predictedSeconds / pruned.predictedSeconds : 0)},
      {"ideal_speedup",
       known(dense ? dense->boundSeconds / pruned.boundSeconds : 0)},
      {"fallback_sites", nlohmann::json::array()},
      {"advice", dense ? toJson(advice) : nlohmann::json()},
      {"ops", nullptr}};
  for (const rt::Fallback &fallback : program.fallbacks)
    record["fallback_sites"].push_back(fallback.site);
  if (prediction.command.ops) {
    record["ops"] = opsJson(prediction.pruned);
    if (prediction.dense)
      record["dense_ops"] = opsJson(*prediction.dense);
  }
  return record;
}

/// The terms of one site in one side; empty where it is not there.
std::string explainSite(const char *name, const Side &side,
                        const std::string &site) {
  std::string text;
  for (size_t i = 0; i < side.program.dispatches.size(); ++i)
    if (side.program.dispatches[i].site == site)
      text += rt::concat(" ", name, "\n",
                         rt::explain(side.program, *side.estimate, i));
  return text;
}

/// Every site that is to be explained must be somewhere.
rt::Status checkSites(const Prediction &prediction) {
  for (const std::string &site : prediction.command.explain) {
    auto has = [&](const Side &side) {
      return std::any_of(side.program.dispatches.begin(),
                         side.program.dispatches.end(),
                         [&](const rt::Dispatch &d) { return d.site == site; });
    };
    if (has(prediction.pruned) || (prediction.dense && has(*prediction.dense)))
      continue;
    std::string some;
    const auto &all = prediction.pruned.program.dispatches;
    for (size_t i = 0; i < std::min<size_t>(all.size(), 12); ++i)
      some += (i ? ", " : "") + all[i].site;
    return rt::invalidArgument(rt::concat("expected the name of a site (", some,
                                          ", ..), found '", site, "'"));
  }
  return {};
}

int runPredict(const PredictCommand &command) {
  if (rt::Status status = rt::checkAppendable(command.json); !status.ok())
    return fail(status.message());
  rt::Result<rt::Machine> machine = rt::findMachine(command.machine);
  if (!machine)
    return fail(machine.status().message());
  Prediction prediction{command, *std::move(machine), 1, "", {}, {}};
  prediction.threads = command.threads > 0
                           ? command.threads
                           : prediction.machine.ceilings.back().threads;
  prediction.isa = command.isa.empty() ? prediction.machine.isa : command.isa;
  if (int status = compileSides(prediction))
    return status;
  if (rt::Status status = checkSites(prediction); !status.ok())
    return fail(status.message());

  // With records on stdout the table is talk.
  FILE *table = command.json == "-" ? stderr : stdout;
  const rt::Program &program = prediction.pruned.program;
  std::string text = rt::concat(
      program.model.name, " (", program.model.dtype, ", ", program.plan.summary,
      ") on ", prediction.machine.cpu, ", ", prediction.isa, ", ",
      prediction.threads, prediction.threads == 1 ? " thread, " : " threads, ",
      command.hot ? "hot" : "cold", " caches; nothing was run\n",
      heading(prediction.dense.has_value()));
  std::vector<std::string> records;
  for (const std::string &phase : command.phases)
    for (int64_t batch : command.batches)
      for (int64_t seq : command.seqs) {
        rt::Cell cell{phase == "decode" ? rt::Phase::Decode
                                        : rt::Phase::Prefill,
                      batch, seq};
        rt::Status status = estimateSide(prediction, cell, prediction.pruned);
        if (status.ok() && prediction.dense)
          status = estimateSide(prediction, cell, *prediction.dense);
        if (!status.ok())
          return fail(status.message());
        text += row(prediction, cell);
        for (const std::string &site : command.explain) {
          if (prediction.dense)
            text += explainSite("dense", *prediction.dense, site);
          text += explainSite(prediction.dense ? "pruned" : "module",
                              prediction.pruned, site);
        }
        std::vector<rt::Advice> advice = advise(prediction);
        int64_t rows = cell.phase == rt::Phase::Decode ? batch : batch * seq;
        for (const std::string &line :
             rt::describeAdvice(advice, program, rows))
          std::fprintf(stderr, "%s\n", line.c_str());
        records.push_back(toJson(prediction, cell, advice).dump());
      }
  std::fputs(text.c_str(), table);
  if (!command.json.empty())
    for (const std::string &record : records)
      if (rt::Status status = rt::appendLine(command.json, record);
          !status.ok())
        return fail(status.message());
  return 0;
}

} // namespace

void coppice::driver::addPredictCommand(CLI::App &app, int &exitCode) {
  auto command = std::make_shared<PredictCommand>();
  CLI::App *predict = app.add_subcommand(
      "predict", "what a module will take on a machine; runs nothing");
  predict
      ->add_option("input", command->input,
                   "pruned or dense module (.mlir), or preset:NAME")
      ->required();
  predict->add_option("--dense", command->dense,
                      "module to compare with (default: the same without its "
                      "plan, if it has one)");
  predict->add_option("--machine", command->machine,
                      "machine description: a file, or the name of one that "
                      "is shipped (default: that of `probe`)");
  predict->add_option("--phase", command->phases, "prefill, decode or both")
      ->delimiter(',')
      ->check(CLI::IsMember({"prefill", "decode"}));
  predict->add_option("--batch", command->batches, "as in bench (default: 1)")
      ->delimiter(',')
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20));
  predict->add_option("--seq", command->seqs, "as in bench (default: 128)")
      ->delimiter(',')
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20));
  predict
      ->add_option("--threads", command->threads,
                   "threads (default: the most that the description has)")
      ->check(CLI::Range(1, 4096));
  predict->add_option("--isa", command->isa,
                      "instruction set of the code (default: the machine's)");
  predict->add_flag("--force", command->force,
                    "as compile --force: skip even where dense is predicted to "
                    "be faster");
  predict->add_flag("--hot", command->hot,
                    "nothing is known to be outside of the caches");
  predict->add_option("--explain", command->explain,
                      "print the terms of this site's time");
  predict->add_flag("--ops", command->ops, "every dispatch in the records");
  predict->add_option("--json", command->json,
                      "append a coppice.predict/1 object a cell to this file; "
                      "- is stdout");
  predict->callback([command, &exitCode] { exitCode = runPredict(*command); });
}
