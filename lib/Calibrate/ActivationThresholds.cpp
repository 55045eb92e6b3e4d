// In: a dense module and a sparsity. Out: for each GEMM of a layer the quantile
// of the magnitudes that it reads, as a decision of the plan.
//
// What a GEMM reads is the value of the op ahead of it. The program is compiled
// with every value of its own (`taps`), and an observer keeps a sample of each.
#include "coppice/Calibrate/ActivationThresholds.h"

#include "coppice/Analysis/PlanSites.h"
#include "coppice/Analysis/Sites.h"
#include "coppice/Bundle/CompileBundle.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "runtime/evaluate/runner.h"

#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FileSystem.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

using namespace mlir;
using namespace coppice;

namespace {

/// Magnitudes of values by name, about so many of each: every so many-th.
struct Samples {
  static constexpr size_t kMost = size_t(1) << 18;
  const rt::Program *program = nullptr;
  llvm::StringMap<std::vector<float>> byValue;
};

void observe(void *context, int64_t dispatch, double, const float *data,
             const int64_t *shape, int64_t rank) {
  auto &samples = *static_cast<Samples *>(context);
  const auto &value = samples.program->dispatches[size_t(dispatch)].value;
  auto found = data && rank == 2 && value ? samples.byValue.find(*value)
                                          : samples.byValue.end();
  if (found == samples.byValue.end())
    return;
  auto count = static_cast<size_t>(shape[0] * shape[1]);
  // A stride without a factor of the width meets all columns.
  size_t stride = std::max<size_t>(1, count / Samples::kMost);
  while (std::gcd(stride, static_cast<size_t>(shape[1])) != 1)
    ++stride;
  for (size_t i = 0; i < count; i += stride)
    found->second.push_back(std::abs(data[i]));
}

class Calibrator {
public:
  Calibrator(ModuleOp module, prune::PlanOp plan,
             const ActivationOptions &options)
      : module(module), plan(plan), options(options) {}

  FailureOr<int64_t> run();

private:
  bool isSettled(StringRef site);
  LogicalResult findInputs();
  FailureOr<int64_t> measure(StringRef directory);
  LogicalResult addDecisions();

  ModuleOp module;
  prune::PlanOp plan;
  const ActivationOptions &options;
  llvm::MapVector<StringRef, std::string> inputs; // value by site
  OwningOpRef<ModuleOp> applied;                  // owns the names
  Samples samples;
};

/// Has the plan decided about what this GEMM reads, or is it gone?
bool Calibrator::isSettled(StringRef site) {
  return llvm::any_of(
      plan.getBody().front().getOps<prune::DecisionOpInterface>(),
      [&](prune::DecisionOpInterface decision) {
        return isa<prune::ActivationsOp, prune::SkipOp>(decision) &&
               namesSite(decision, site);
      });
}

/// The values that GEMMs of layers read.
LogicalResult Calibrator::findInputs() {
  FailureOr<SiteGlob> glob = parseSitesFlag(plan, options.sites, "*.*.*.*");
  if (failed(glob))
    return failure();
  applied = module.clone();
  for (auto other : llvm::to_vector(applied->getOps<prune::PlanOp>()))
    other.erase();
  PassManager passes(module.getContext());
  passes.addPass(prune::createPruneApplyPlan());
  if (failed(passes.run(*applied)))
    return failure();
  applied->walk([&](prune::GemmOp gemm) {
    std::optional<LayerSite> site = parseLayerSite(gemm.getSite());
    Operation *producer = gemm.getInput().getDefiningOp();
    if (!site || site->rest.empty() || site->rest.contains('.') || !producer ||
        !(glob->match(gemm.getSite()) || glob->match(site->sublayer)) ||
        isSettled(gemm.getSite()))
      return;
    std::string value = getValueName(producer).str();
    if (!value.empty()) {
      inputs[gemm.getSite()] = value;
      samples.byValue[value];
    }
  });
  if (!inputs.empty())
    return success();
  return plan.emitError() << "expected a matrix multiplication of a layer for "
                             "--activation-sparsity that the plan leaves "
                             "undecided, found none"
                          << describeSitesFlag(options.sites);
}

/// Compiles the dense program into `directory` and runs it; on how many tokens.
FailureOr<int64_t> Calibrator::measure(StringRef directory) {
  OwningOpRef<ModuleOp> dense = module.clone();
  for (auto other : llvm::to_vector(dense->getOps<prune::PlanOp>()))
    other.erase();
  CompileOptions compile;
  compile.output = (directory + "/dense.coppice").str();
  compile.inputDirectory = options.inputDirectory;
  compile.isa = "avx2"; // whatever this machine has, once is enough
  int64_t count = options.tokens;
  if (auto model =
          (*dense)->getAttrOfType<decoder::ModelAttr>(decoder::kModelAttrName))
    count = std::min(count, model.getContextLength());
  compile.maxRows = count;
  compile.maxBatch = 1;
  compile.maxContext = count;
  compile.taps = true;
  if (failed(compileToBundle(*dense, compile)))
    return failure();
  auto runner = rt::Runner::open(compile.output, rt::RunnerOptions());
  if (!runner)
    return plan.emitError() << "calibration: " << runner.status().message();
  samples.program = &runner->program();
  std::mt19937_64 random(options.seed);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t &token : tokens)
    token = int32_t(random() % uint64_t(runner->vocabulary()));
  std::vector<float> logits;
  coppice_session_observe(runner->session(), observe, &samples);
  rt::Status status = runner->feed(tokens, 0, 0, /*all=*/false, logits);
  coppice_session_observe(runner->session(), nullptr, nullptr);
  if (status.ok())
    return count;
  return plan.emitError() << "calibration: " << status.message();
}

LogicalResult Calibrator::addDecisions() {
  SmallVector<std::pair<StringRef, double>> thresholds;
  for (auto &[site, value] : inputs) {
    std::vector<float> &seen = samples.byValue[value];
    if (seen.empty())
      return plan.emitError() << "calibration: expected to see what '" << site
                              << "' reads ('" << value << "'), found nothing";
    if (!llvm::all_of(seen, [](float value) { return std::isfinite(value); }))
      return plan.emitError()
             << "calibration: what '" << site
             << "' reads is not finite; expected a model of finite values";
    auto place = static_cast<size_t>(options.sparsity *
                                     static_cast<double>(seen.size()));
    place = std::min(place, seen.size() - 1);
    std::nth_element(seen.begin(), seen.begin() + std::ptrdiff_t(place),
                     seen.end());
    float threshold = seen[place];
    // Where so many are zero anyway, any threshold will do.
    thresholds.push_back(
        {site, std::max(threshold, std::numeric_limits<float>::min())});
  }
  auto builder = OpBuilder::atBlockEnd(&plan.getBody().front());
  for (auto [site, threshold] : thresholds)
    prune::ActivationsOp::create(builder, plan.getLoc(),
                                 builder.getStringAttr(site),
                                 builder.getF64FloatAttr(threshold),
                                 builder.getF64FloatAttr(1 - options.sparsity));
  return success();
}

FailureOr<int64_t> Calibrator::run() {
  if (!(options.sparsity > 0 && options.sparsity < 1))
    return plan.emitError()
           << "expected an activation sparsity between 0 and 1, found "
           << options.sparsity;
  if (failed(findInputs()))
    return failure();
  SmallString<128> directory;
  if (std::error_code code =
          llvm::sys::fs::createUniqueDirectory("coppice-calibrate", directory))
    return plan.emitError() << "cannot make a directory for temporary files "
                               "(TMPDIR says where): "
                            << code.message();
  llvm::scope_exit remove(
      [&] { llvm::sys::fs::remove_directories(directory); });
  FailureOr<int64_t> tokens = measure(directory);
  if (failed(tokens) || failed(addDecisions()))
    return failure();
  return tokens;
}

} // namespace

FailureOr<int64_t>
coppice::addActivationDecisions(ModuleOp module, prune::PlanOp plan,
                                const ActivationOptions &options) {
  return Calibrator(module, plan, options).run();
}
