// usage: compose-plans PLANS FIRST-SEED MODEL...
//
// Makes PLANS random plans over the models (Hugging Face directories or
// presets) in turn, and for each checks in this one process that
//   - the fast program equals the oracle, site by site,
//   - what is left is exported, and imported again,
//   - the imported program gives the same logits, to the bit.
// Plans with routes or blocks of positions end at the export too, for no
// checkpoint says what is decided while it runs. Plans of which no model is
// left (no attention, no MLP at all), and these alone, end at the export, with
// the error that says so. Kernels that plans share are compiled once. Exit code
// 1 at the first plan that fails, with the command that makes it again.
#include "RandomPlan.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Bundle/CompileBundle.h"
#include "coppice/Bundle/ObjectCache.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Export/Export.h"
#include "coppice/Import/Import.h"
#include "coppice/InitAll.h"
#include "coppice/Replace/ChangeWeights.h"
#include "runtime/evaluate/runner.h"
#include "runtime/verify/verify.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cstring>
#include <filesystem>
#include <random>

using namespace mlir;
using namespace coppice;
namespace fs = std::filesystem;

namespace {

/// Room, and what is read of a text: several blocks of positions.
constexpr int64_t contextLength = 64, textLength = 24;

class PlanCheck {
public:
  PlanCheck(std::vector<std::string> models, std::string directory)
      : models(std::move(models)), directory(std::move(directory)) {
    DialectRegistry registry;
    registerAllDialects(registry);
    context = std::make_unique<MLIRContext>(registry);
    handler = std::make_unique<ScopedDiagnosticHandler>(
        context.get(), [this](Diagnostic &diagnostic) {
          errors += diagnostic.str() + "\n";
          return success();
        });
  }

  bool importAll();
  /// What went wrong, or nothing.
  std::string check(uint64_t seed);

  std::string described; // the last plan
  int64_t exported = 0, refused = 0, dynamic = 0;
  ObjectCache objects;

private:
  std::string prune(ModuleOp module);
  std::string compile(ModuleOp module, const std::string &bundle,
                      bool isOracle = false);
  std::string verify(ModuleOp pruned, bool hasBlocks);
  std::string exportAndImport(ModuleOp pruned);
  std::string refuseDynamic(ModuleOp pruned);
  std::string logits(const std::string &bundle, std::vector<float> &values);
  std::string path(const std::string &name) { return directory + "/" + name; }
  /// The diagnostics since the last call.
  std::string takeErrors() { return std::exchange(errors, {}); }

  std::vector<std::string> models;
  std::string directory, errors;
  std::unique_ptr<MLIRContext> context;
  std::unique_ptr<ScopedDiagnosticHandler> handler;
  uint64_t seed = 0;
};

} // namespace

bool PlanCheck::importAll() {
  for (size_t i = 0; i < models.size(); ++i) {
    ImportOptions options;
    options.source = models[i];
    options.output = path("model" + std::to_string(i) + ".mlir");
    options.dtype = rt::DType::F32; // where `verify` bites
    if (rt::Status status = importModel(options, llvm::nulls()); !status.ok()) {
      llvm::errs() << models[i] << ": " << status.message() << "\n";
      return false;
    }
  }
  return true;
}

/// Applies the plan in the module, new weights included.
std::string PlanCheck::prune(ModuleOp module) {
  coppice::prune::PruneApplyPlanOptions plan;
  plan.directory = directory;
  PassManager passes(context.get());
  passes.addPass(coppice::prune::createPruneApplyPlan(plan));
  if (failed(passes.run(module)))
    return "apply: " + takeErrors();
  const std::string file = "new.safetensors";
  ChangeWeightsOptions change;
  change.inputDirectory = directory;
  change.output = path(file);
  ChangedWeights weights(module, change);
  if (failed(weights.compute()))
    return "new weights: " + takeErrors();
  weights.assign(file);
  if (weights.hasFile())
    if (rt::Status status = weights.commit(); !status.ok())
      return "new weights: " + status.message();
  return "";
}

std::string PlanCheck::compile(ModuleOp module, const std::string &bundle,
                               bool isOracle) {
  CompileOptions options;
  options.output = path(bundle);
  options.inputDirectory = directory;
  options.isa = "avx2";
  options.maxRows = 192;
  options.maxContext = contextLength;
  options.oracle = isOracle;
  options.objects = &objects;
  options.unoptimized = true;
  // Skipping wherever it can be, and as `compile` chooses.
  options.force = seed / models.size() % 2;
  if (succeeded(compileToBundle(module, options)))
    return "";
  return "compile " + bundle + ": " + takeErrors();
}

std::string PlanCheck::verify(ModuleOp pruned, bool hasBlocks) {
  OwningOpRef<ModuleOp> fast = pruned.clone(), oracle = pruned.clone();
  if (std::string problem = compile(*fast, "fast.coppice"); !problem.empty())
    return problem;
  if (std::string problem = compile(*oracle, "oracle.coppice", true);
      !problem.empty())
    return problem;
  rt::CompareOptions options;
  options.workload.batch = 3;
  options.workload.length = hasBlocks ? 45 : 13;
  options.workload.seed = seed;
  options.threads = 1;
  rt::Result<rt::VerifyReport> report =
      rt::compareBundles(path("fast.coppice"), path("oracle.coppice"), options);
  if (!report)
    return "verify: " + report.status().message();
  if (report->holds())
    return "";
  std::string text = "verify: does not hold:";
  for (const auto &values : {report->outputs, report->sites})
    for (const rt::ValueError &value : values)
      if (!value.holds())
        text += " " + value.name + " " + std::to_string(value.error);
  return text;
}

std::string PlanCheck::logits(const std::string &bundle,
                              std::vector<float> &values) {
  rt::RunnerOptions options;
  options.threads = 1;
  auto runner = rt::Runner::openWithRows(path(bundle), options, 64);
  if (!runner)
    return runner.status().message();
  std::mt19937_64 random(seed);
  std::vector<int32_t> tokens(textLength);
  for (int32_t &token : tokens)
    token = int32_t(random() % uint64_t(runner->vocabulary()));
  rt::Status status = runner->feed(tokens, 0, 0, /*all=*/true, values);
  return status.ok() ? "" : status.message();
}

/// Is there an attention that is not skipped, and an MLP?
static bool leavesModel(ModuleOp pruned) {
  llvm::StringSet<> skipped;
  pruned.walk([&](coppice::prune::ProjectOp project) {
    if (project.getAxis() == 0 && project.getKeep().isEmpty())
      skipped.insert(project.getSite());
  });
  bool hasAttention = false, hasMLP = false;
  pruned.walk([&](linalg::GenericOp sum) {
    StringRef site = getSite(sum);
    std::optional<LayerSite> parsed = parseLayerSite(site);
    if (!parsed || !parsed->rest.empty() || skipped.contains(site))
      return;
    hasAttention |= site.ends_with(".attn");
    hasMLP |= site.ends_with(".mlp");
  });
  return hasAttention && hasMLP;
}

std::string PlanCheck::exportAndImport(ModuleOp pruned) {
  const bool isModel = leavesModel(pruned);
  OwningOpRef<ModuleOp> module = pruned.clone();
  ExportOptions options;
  options.output = path("checkpoint");
  options.inputDirectory = directory;
  if (failed(exportCheckpoint(*module, options))) {
    std::string problem = takeErrors();
    if (isModel ||
        problem.find("expected a layer that has") == std::string::npos)
      return "export: " + problem;
    ++refused;
    return "";
  }
  if (!isModel)
    return "export: expected an error, as no attention or no MLP is left, "
           "found none";
  ++exported;
  ImportOptions importing;
  importing.source = options.output;
  importing.output = path("back.mlir");
  if (rt::Status status = importModel(importing, llvm::nulls()); !status.ok())
    return "import: " + status.message();
  OwningOpRef<ModuleOp> back =
      parseSourceFile<ModuleOp>(importing.output, context.get());
  if (!back)
    return "read back: " + takeErrors();
  const int64_t before = objects.misses();
  if (std::string problem = compile(*back, "back.coppice"); !problem.empty())
    return problem;
  if (objects.misses() != before)
    return "import: expected the kernels of the pruned program, found " +
           std::to_string(objects.misses() - before) + " others";
  std::vector<float> expected, found;
  for (auto [bundle, values] : {std::pair("fast.coppice", &expected),
                                std::pair("back.coppice", &found)})
    if (std::string problem = logits(bundle, *values); !problem.empty())
      return std::string(bundle) + ": " + problem;
  if (expected.empty() || expected.size() != found.size() ||
      std::memcmp(expected.data(), found.data(),
                  expected.size() * sizeof(float)) != 0)
    return "expected the same logits from the imported model, found others";
  return "";
}

/// What is decided while a program runs has no checkpoint.
std::string PlanCheck::refuseDynamic(ModuleOp pruned) {
  OwningOpRef<ModuleOp> module = pruned.clone();
  ExportOptions options;
  options.output = path("checkpoint");
  options.inputDirectory = directory;
  if (succeeded(exportCheckpoint(*module, options)))
    return "export: expected an error, as the plan has routes or blocks, found "
           "none";
  std::string problem = takeErrors();
  if (problem.find("route") == std::string::npos &&
      problem.find("blocks") == std::string::npos)
    return "export: expected an error about routes or blocks, found " + problem;
  ++dynamic;
  return "";
}

std::string PlanCheck::check(uint64_t seed) {
  this->seed = seed;
  takeErrors();
  const size_t index = seed % models.size();
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(
      path("model" + std::to_string(index) + ".mlir"), context.get());
  if (!module)
    return "read: " + takeErrors();
  FailureOr<std::string> plan = addRandomPlan(*module, seed, directory);
  if (failed(plan))
    return "plan: " + takeErrors();
  described = fs::path(models[index]).filename().string() + ": " + *plan;
  if (std::string problem = prune(*module); !problem.empty())
    return problem;
  bool hasRoutes = false, hasBlocks = false;
  module->walk([&](Operation *op) {
    hasRoutes |= isa<coppice::prune::DecideOp>(op);
    hasBlocks |= isa<coppice::prune::SelectBlocksOp>(op);
    if (auto attention = dyn_cast<coppice::decoder::AttentionOp>(op))
      hasBlocks |= attention.getDropBelowAttr() != nullptr;
  });
  if (std::string problem = verify(*module, hasBlocks); !problem.empty())
    return problem;
  return hasRoutes || hasBlocks ? refuseDynamic(*module)
                                : exportAndImport(*module);
}

int main(int argc, char **argv) {
  uint64_t plans = 0, first = 0;
  if (argc < 4 || StringRef(argv[1]).getAsInteger(10, plans) ||
      StringRef(argv[2]).getAsInteger(10, first)) {
    llvm::errs() << "usage: compose-plans PLANS FIRST-SEED MODEL...\n";
    return 2;
  }
  SmallString<128> scratch;
  if (std::error_code code =
          llvm::sys::fs::createUniqueDirectory("compose-plans", scratch)) {
    llvm::errs() << "cannot make a directory: " << code.message() << "\n";
    return 1;
  }
  int exitCode = 0;
  {
    PlanCheck check({argv + 3, argv + argc}, std::string(scratch));
    if (!check.importAll())
      exitCode = 1;
    for (uint64_t seed = first; !exitCode && seed < first + plans; ++seed) {
      std::string problem = check.check(seed);
      if (problem.empty())
        continue;
      exitCode = 1;
      llvm::errs() << "plan " << seed << " (" << check.described
                   << "): " << problem << "\nagain: " << argv[0] << " 1 "
                   << seed;
      for (int i = 3; i < argc; ++i)
        llvm::errs() << " " << argv[i];
      llvm::errs() << "\n";
    }
    llvm::outs() << check.exported << " plans exported and imported, "
                 << check.refused << " without a model left, " << check.dynamic
                 << " with routes or blocks; " << check.objects.misses()
                 << " kernels compiled, " << check.objects.hits()
                 << " found again\n";
    // A generator that makes nothing to export tests nothing.
    if (!exitCode &&
        (check.exported + check.dynamic) * 10 < int64_t(plans) * 8) {
      llvm::errs() << "expected most plans to leave a model\n";
      exitCode = 1;
    }
  }
  llvm::sys::fs::remove_directories(scratch);
  return exitCode;
}
