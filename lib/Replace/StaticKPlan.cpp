// Comes in: a dense module, a plan with keep-sets or none, a sparsity. Goes
// out: the same plan with a rank, a pattern or a sparsity for each weight in a
// layer.
//
// Ranks follow from the shapes that keep-sets leave, so the plan as it is gets
// applied to a copy of the module first, and that is propagated.
#include "coppice/Replace/StaticKPlan.h"

#include "coppice/Analysis/PlanSites.h"
#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Dialect/Prune/Transforms/StaticPlan.h"
#include "coppice/Replace/WeightReader.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

int64_t coppice::rankOf(int64_t n, int64_t k, double sparsity, double rho) {
  double rows = static_cast<double>(n), columns = static_cast<double>(k);
  double exact =
      rows * columns * (1 - sparsity - rho) / (rows + columns - rho * rows);
  int64_t rest = n - static_cast<int64_t>(std::floor(rho * rows + 1e-9));
  return std::clamp<int64_t>(roundUpToSixteen(exact), 1, std::min(rest, k));
}

namespace {
/// A weight that a plan may still decide about.
struct OpenWeight {
  std::string site;
  ml_program::GlobalOp global;        // of the dense module
  SmallVector<int64_t> rows, columns; // that are left of it
};

class StaticKPlanner {
public:
  StaticKPlanner(ModuleOp module, PlanOp plan, const StaticKOptions &options)
      : module(module), plan(plan), options(options),
        builder(OpBuilder::atBlockEnd(&plan.getBody().front())),
        reader(module, options.inputDirectory) {}

  LogicalResult run() {
    if (failed(checkOptions()) || failed(findOpen()))
      return failure();
    if (options.lowRank)
      return addFactors();
    addZeros();
    return success();
  }

private:
  LogicalResult checkOptions();
  LogicalResult findOpen();
  LogicalResult addFactors();
  LogicalResult addRetaining(const OpenWeight &weight, int64_t rank,
                             int64_t count);
  void addZeros();
  /// The sites of one key as globs, `layers.*.attn.q` where that is all of a
  /// kind.
  SmallVector<std::string> globsOf(ArrayRef<const OpenWeight *> weights);

  ModuleOp module;
  PlanOp plan;
  const StaticKOptions &options;
  OpBuilder builder;
  WeightReader reader;
  std::vector<OpenWeight> open;
  llvm::StringMap<int64_t> kinds; // GEMMs of the dense model by their suffix
};
} // namespace

/// "attn.q" of "layers.3.attn.q".
static StringRef suffixOf(StringRef site) {
  return site.drop_front(parseLayerSite(site)->layerName.size() + 1);
}

/// As a person writes it: 0.5, not 5.000000e-01.
static std::string textOf(double x) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%g", x);
  return text;
}

LogicalResult StaticKPlanner::checkOptions() {
  if (int(options.lowRank.has_value()) + int(bool(options.pattern)) +
          int(options.unstructured.has_value()) !=
      1)
    return plan.emitError() << "expected one of factors, a pattern and "
                               "unstructured sparsity for one set of weights";
  if (options.unstructured &&
      !(*options.unstructured >= 0 && *options.unstructured < 1))
    return plan.emitError()
           << "expected an unstructured sparsity from 0 to below 1, found "
           << textOf(*options.unstructured);
  if (!options.lowRank)
    return success();
  double s = *options.lowRank, rho = options.retainedRatio;
  if (!(s >= 0 && s < 1))
    return plan.emitError()
           << "expected a sparsity of low rank from 0 to below 1, found "
           << textOf(s);
  if (!(rho >= 0 && rho < 1 - s))
    return plan.emitError()
           << "expected a retained ratio from 0 to below " << textOf(1 - s)
           << ", which is what the sparsity leaves, found " << textOf(rho);
  return success();
}

/// What an axis of a narrowed weight holds, or all of it.
static SmallVector<int64_t> indicesOf(ml_program::GlobalOp narrow, int64_t axis,
                                      int64_t extent) {
  for (const KeptAxis &kept : getKept(narrow))
    if (kept.axis == axis)
      return kept.set.getIndices();
  return llvm::to_vector(llvm::seq<int64_t>(0, extent));
}

LogicalResult StaticKPlanner::findOpen() {
  FailureOr<SiteGlob> glob = parseSitesFlag(plan, options.sites, options.sites);
  if (failed(glob))
    return failure();

  OwningOpRef<ModuleOp> copy = module.clone();
  PassManager passes(module.getContext());
  PruneApplyPlanOptions apply;
  apply.openSources = true; // so that no weight is asked for
  apply.directory = options.inputDirectory;
  passes.addPass(createPruneApplyPlan(apply));
  if (failed(passes.run(*copy)))
    return failure();
  llvm::StringSet<> decided;
  copy->walk([&](ReplaceOp op) { decided.insert(op.getSite()); });
  bool matched = false, factored = false;
  copy->walk([&](GemmOp gemm) {
    StringRef site = gemm.getSite();
    std::optional<LayerSite> layer = parseLayerSite(site);
    if (!layer)
      return;
    ++kinds[suffixOf(site)];
    matched |= glob->match(site) || glob->match(layer->sublayer);
    // What the model itself has as two factors has been decided.
    if (layer->rest.contains('.') && site.consume_back(".v")) {
      decided.insert(site);
      factored |= glob->match(site) || glob->match(layer->sublayer);
    }
  });
  if (!matched)
    return plan.emitError() << "sites '" << options.sites
                            << "' name no matrix multiplication in a layer, "
                               "expected such as 'layers.0.mlp.up'";

  PassManager rest(module.getContext());
  rest.addPass(createPruneExpandReplaced());
  rest.addPass(createPrunePropagate());
  rest.addPass(createPruneFoldRestricts());
  if (failed(rest.run(*copy)))
    return failure();
  WalkResult result = copy->walk([&](GemmOp gemm) -> WalkResult {
    StringRef site = gemm.getSite();
    std::optional<LayerSite> layer = parseLayerSite(site);
    // The parts of factored sites have names below theirs.
    if (!layer || decided.contains(site) || layer->rest.contains('.') ||
        !(glob->match(site) || glob->match(layer->sublayer)))
      return WalkResult::advance();
    auto load = gemm.getWeight().getDefiningOp<ml_program::GlobalLoadConstOp>();
    if (!load)
      return WalkResult::advance();
    StringAttr name = load.getGlobal().getLeafReference();
    auto narrow = copy->lookupSymbol<ml_program::GlobalOp>(name);
    auto dense = module.lookupSymbol<ml_program::GlobalOp>(name);
    // Routers are of the plan, not of the model.
    if (narrow && !dense)
      return WalkResult::advance();
    if (!narrow)
      return plan.emitError()
             << "expected '" << site << "' to have a weight of its own";
    auto type = cast<RankedTensorType>(dense.getType());
    open.push_back({site.str(), dense, indicesOf(narrow, 0, type.getDimSize(0)),
                    indicesOf(narrow, 1, type.getDimSize(1))});
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  if (open.empty() && factored)
    return plan.emitError() << "sites '" << options.sites
                            << "' name only weights that are two factors in "
                               "the model, expected matrices";
  return success();
}

SmallVector<std::string>
StaticKPlanner::globsOf(ArrayRef<const OpenWeight *> weights) {
  llvm::MapVector<StringRef, SmallVector<int64_t>> bySuffix;
  for (const OpenWeight *weight : weights)
    bySuffix[suffixOf(weight->site)].push_back(
        parseLayerSite(weight->site)->layer);
  SmallVector<std::string> globs;
  for (auto &[suffix, layers] : bySuffix) {
    std::string list;
    for (int64_t layer : layers)
      list += (list.empty() ? "" : ",") + std::to_string(layer);
    if (static_cast<int64_t>(layers.size()) == kinds.lookup(suffix) &&
        layers.size() > 1)
      list = "*";
    else if (layers.size() > 1)
      list = "{" + list + "}";
    globs.push_back("layers." + list + "." + suffix.str());
  }
  return globs;
}

void StaticKPlanner::addZeros() {
  SmallVector<const OpenWeight *> all;
  for (const OpenWeight &weight : open)
    all.push_back(&weight);
  for (const std::string &glob : globsOf(all)) {
    if (options.pattern)
      PatternOp::create(builder, plan.getLoc(), glob, options.pattern,
                        /*by_magnitude=*/true);
    else
      MaskOp::create(builder, plan.getLoc(), glob,
                     builder.getF64FloatAttr(*options.unstructured),
                     StringAttr());
  }
}

/// Dense rows: the first of a generated weight, else those of largest norm.
LogicalResult StaticKPlanner::addRetaining(const OpenWeight &weight,
                                           int64_t rank, int64_t count) {
  SmallVector<int64_t> rows = weight.rows;
  if (!isa_and_nonnull<decoder::GeneratedAttr>(
          weight.global->getDiscardableAttr(decoder::kSourceAttrName))) {
    if (failed(reader.check(weight.global)))
      return failure();
    size_t width = weight.columns.size();
    std::vector<float> all =
        reader.read(weight.global, weight.rows, weight.columns);
    // Norms with a NaN are in no order.
    if (auto fault = WeightReader::findNonFinite(weight.global, all,
                                                 weight.rows, weight.columns))
      return plan.emitError()
             << "expected a finite weight of '" << weight.site
             << "', whose rows of largest norm stay, found " << *fault;
    std::vector<double> norms(rows.size());
    for (size_t i = 0; i < rows.size(); ++i)
      for (size_t j = 0; j < width; ++j)
        norms[i] += double(all[i * width + j]) * all[i * width + j];
    auto order = llvm::to_vector(llvm::seq<int64_t>(0, rows.size()));
    // Of equal rows the first: what is chosen depends on nothing else.
    llvm::sort(order, [&](int64_t a, int64_t b) {
      return norms[a] != norms[b] ? norms[a] > norms[b] : a < b;
    });
    for (auto [row, index] : llvm::zip_equal(rows, order))
      row = weight.rows[index];
  }
  rows.truncate(count);
  llvm::sort(rows);
  ml_program::GlobalOp global = weight.global;
  auto type = cast<RankedTensorType>(global.getType());
  FactorOp::create(
      builder, plan.getLoc(), weight.site, builder.getI64IntegerAttr(rank),
      SetAttr::fromIndices(plan.getContext(), rows, type.getDimSize(0)),
      StringAttr());
  return success();
}

LogicalResult StaticKPlanner::addFactors() {
  llvm::MapVector<int64_t, SmallVector<const OpenWeight *>> byRank;
  for (const OpenWeight &weight : open) {
    int64_t n = static_cast<int64_t>(weight.rows.size()),
            k = static_cast<int64_t>(weight.columns.size());
    bool isMLP =
        StringRef(parseLayerSite(weight.site)->sublayer).ends_with(".mlp");
    double rho = isMLP ? options.retainedRatio : 0;
    int64_t count =
        static_cast<int64_t>(std::floor(rho * static_cast<double>(n) + 1e-9));
    int64_t rank = rankOf(n, k, *options.lowRank, rho);
    if (count == 0) {
      byRank[rank].push_back(&weight);
    } else if (failed(addRetaining(weight, rank, count))) {
      return failure();
    }
  }
  for (auto &[rank, weights] : byRank)
    for (const std::string &glob : globsOf(weights))
      FactorOp::create(builder, plan.getLoc(), glob,
                       builder.getI64IntegerAttr(rank),
                       PlannedSetAttrInterface(), StringAttr());
  return success();
}

LogicalResult coppice::addStaticKDecisions(ModuleOp module, PlanOp plan,
                                           const StaticKOptions &options) {
  return StaticKPlanner(module, plan, options).run();
}
