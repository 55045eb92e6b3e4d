#include "coppice/Dialect/Prune/Transforms/DynamicPlan.h"
#include "coppice/Analysis/PlanSites.h"
#include "coppice/Analysis/Sites.h"
#include "mlir/AsmParser/AsmParser.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

/// What no router is asked for: sublayers that are gone, or have one already.
static llvm::StringSet<> findSettled(PlanOp plan,
                                     ArrayRef<Sublayer> sublayers) {
  llvm::StringSet<> settled;
  for (auto decision : plan.getBody().front().getOps<DecisionOpInterface>()) {
    if (!isa<SkipOp, RouteOp>(decision))
      continue;
    for (const Sublayer &sublayer : sublayers)
      if (namesSite(decision, sublayer.name))
        settled.insert(sublayer.name);
  }
  return settled;
}

static FailureOr<RouterAttr> parseRouterText(PlanOp plan, StringRef text) {
  MLIRContext *context = plan.getContext();
  if (text.empty())
    return RouterAttr::get(context, RouterKind::Bottleneck, 16);
  // The text's own faults are said here, with what was expected.
  Attribute parsed;
  {
    ScopedDiagnosticHandler quiet(context, [](Diagnostic &) {});
    parsed = parseAttribute(("#prune.router<" + text + ">").str(), context);
  }
  if (auto router = dyn_cast_or_null<RouterAttr>(parsed))
    return router;
  return plan.emitError() << "expected a router 'linear', 'bottleneck(R)' or "
                             "'mlp(R)' with R of at least 1, found '"
                          << text << "'";
}

namespace {
/// What the flags ask of every sublayer.
struct Asked {
  StringRef flag;
  std::optional<double> sparsity; // none: not asked
};
} // namespace

/// The one of the axes that is asked for.
static FailureOr<Asked> findAsked(PlanOp plan,
                                  const DynamicPlanOptions &options) {
  Asked asked;
  for (const Asked &one : {Asked{"--dynamic-m", options.dynamicM},
                           Asked{"--dynamic-n", options.dynamicN},
                           Asked{"--dynamic-k", options.dynamicK}}) {
    if (!one.sparsity)
      continue;
    if (!(*one.sparsity >= 0 && *one.sparsity <= 1))
      return plan.emitError() << "expected a sparsity of " << one.flag
                              << " from 0 to 1, found " << *one.sparsity;
    if (asked.sparsity)
      return plan.emitError()
             << "expected one of --dynamic-m, --dynamic-n and --dynamic-k, for "
                "a sublayer has one router, found "
             << asked.flag << " and " << one.flag
             << "; a plan may route each sublayer by another axis";
    asked = one;
  }
  if (options.group < 1)
    return plan.emitError()
           << "expected a --group of at least 1, found " << options.group;
  return asked;
}

/// Does the plan keep some heads only of an attention?
static bool hasKeptHeads(PlanOp plan, const Sublayer &sublayer) {
  return llvm::any_of(plan.getBody().front().getOps<KeepOp>(),
                      [&](KeepOp keep) {
                        return keep.getDimension() == Dimension::KVHeads &&
                               namesSite(keep, sublayer.name);
                      });
}

/// Query heads of a group of no more than `columns`, at least one: whole KV
/// heads, or equal parts of one. Where heads are gone, how many are left may be
/// a multiple of one KV head's alone.
static int64_t headsOfGroup(PlanOp plan, const Sublayer &sublayer,
                            int64_t columns) {
  int64_t shared = sublayer.granule / sublayer.unit,
          all = hasKeptHeads(plan, sublayer) ? shared : sublayer.count * shared;
  int64_t heads = std::clamp<int64_t>(columns / sublayer.unit, 1, all);
  while (all % heads || (shared % heads && heads % shared))
    --heads;
  return heads;
}

LogicalResult
coppice::prune::addDynamicDecisions(PlanOp plan, ArrayRef<Sublayer> sublayers,
                                    const DynamicPlanOptions &options) {
  FailureOr<Asked> asked = findAsked(plan, options);
  if (failed(asked))
    return failure();
  if (!asked->sparsity)
    return success();
  FailureOr<RouterAttr> router = parseRouterText(plan, options.router);
  if (failed(router))
    return failure();
  FailureOr<SiteGlob> glob = parseSitesFlag(plan, options.sites, "*.*.*");
  if (failed(glob))
    return failure();

  llvm::StringSet<> settled = findSettled(plan, sublayers), layers;
  auto builder = OpBuilder::atBlockEnd(&plan.getBody().front());
  int64_t routed = 0;
  for (const Sublayer &sublayer : sublayers) {
    if (!glob->match(sublayer.name) || settled.contains(sublayer.name))
      continue;
    StringRef name = sublayer.name;
    if (options.wholeLayers) {
      name = parseLayerSite(sublayer.name)->layerName;
      // Half of a layer may be settled: then its name would be another's.
      for (const Sublayer &other : sublayers)
        if (other.layer == sublayer.layer && settled.contains(other.name))
          name = sublayer.name;
      if (!layers.insert(name).second)
        continue;
    }
    auto route = RouteOp::create(
        builder, plan.getLoc(), builder.getStringAttr(name), IntegerAttr(),
        UnitAttr(), *router, FloatAttr(), FloatAttr(),
        builder.getF64FloatAttr(1 - *asked->sparsity), UnitAttr(), UnitAttr(),
        IntegerAttr(),
        options.file.empty() ? StringAttr()
                             : builder.getStringAttr(options.file));
    if (options.dynamicN || options.dynamicK) {
      bool hasHeads =
          options.dynamicN && sublayer.dimension == Dimension::KVHeads;
      route.setGroupSize(hasHeads ? headsOfGroup(plan, sublayer, options.group)
                                  : options.group);
      route.setReduction(options.dynamicK.has_value());
    }
    ++routed;
  }
  if (routed)
    return success();
  return plan.emitError()
         << "expected a sublayer for " << asked->flag
         << " that the plan neither skips nor routes, found none"
         << describeSitesFlag(options.sites);
}
