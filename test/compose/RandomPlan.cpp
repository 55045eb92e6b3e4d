#include "RandomPlan.h"

#include "coppice/Analysis/Boundaries.h"
#include "coppice/Analysis/PlanSites.h"
#include "coppice/Dialect/Prune/Transforms/StaticPlan.h"
#include "coppice/Replace/StaticKPlan.h"

#include "llvm/ADT/Twine.h"

#include <numeric>
#include <random>

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

namespace {
class Composer {
public:
  Composer(ModuleOp module, uint64_t seed, std::string directory)
      : module(module), seed(seed), directory(std::move(directory)),
        random(seed * 2 + 1), weights(seed * 2), routes(~seed),
        builder(OpBuilder::atBlockBegin(module.getBody())) {}

  FailureOr<std::string> run();

private:
  /// The same numbers everywhere, which std distributions do not promise.
  uint64_t below(uint64_t extent) { return random() % extent; }
  bool chance(int percent) { return below(100) < uint64_t(percent); }

  SetAttr draw(int64_t kept, int64_t count) {
    std::vector<int64_t> all(count);
    std::iota(all.begin(), all.end(), 0);
    for (int64_t i = 0; i < kept; ++i)
      std::swap(all[i], all[i + below(count - i)]);
    all.resize(kept);
    llvm::sort(all);
    return SetAttr::fromIndices(module.getContext(), all, count);
  }

  /// Of a few sizes, one that no tile divides among them.
  int64_t pick(int64_t count) {
    const int64_t sizes[] = {1, (count + 1) / 2, countKeptColumns(count, 0.5)};
    return sizes[below(3)];
  }

  SetAttr drawOf(const Sublayer &sublayer);
  void keepSublayers(ArrayRef<Sublayer> sublayers);
  LogicalResult keepBoundaries(ArrayRef<Sublayer> sublayers);
  LogicalResult replaceWeights(ArrayRef<Sublayer> sublayers);
  void routeSublayers(ArrayRef<Sublayer> sublayers);
  void routeSublayer(const Sublayer &sublayer);
  void sparsenAttentions(ArrayRef<Sublayer> sublayers);
  bool isSkipped(const Sublayer &sublayer);
  void add(const Twine &what) {
    text += (text.empty() ? "" : ", ") + what.str();
  }

  ModuleOp module;
  uint64_t seed;
  std::string directory;
  // Apart, so that plans without new weights, or without routes and blocks, do
  // not hang on those with them.
  std::mt19937_64 random, weights, routes;
  bool replaces = false; // weights
  OpBuilder builder;
  PlanOp plan;
  std::string text;
};
} // namespace

/// One channel alone only where weights stay: where new ones are zeros but for
/// it, `verify` has no others to measure an error by.
SetAttr Composer::drawOf(const Sublayer &sublayer) {
  SetAttr set = draw(pick(sublayer.count), sublayer.count);
  if (!replaces || sublayer.dimension != Dimension::Channels || set.size() > 1)
    return set;
  const int64_t half = (sublayer.count + 1) / 2,
                first = int64_t(weights() % uint64_t(sublayer.count - half));
  auto channels = llvm::to_vector(llvm::seq(first, first + half));
  return SetAttr::fromIndices(module.getContext(), channels, sublayer.count);
}

/// Sets for single sublayers, and some of these are skipped.
void Composer::keepSublayers(ArrayRef<Sublayer> sublayers) {
  for (const Sublayer &sublayer : sublayers) {
    const uint64_t what = below(10);
    if (what == 0)
      SkipOp::create(builder, builder.getUnknownLoc(), sublayer.name);
    else if (what < 5)
      KeepOp::create(builder, builder.getUnknownLoc(), sublayer.name,
                     sublayer.dimension, drawOf(sublayer));
  }
}

/// Sets for single boundaries, the same for neighbours at times.
LogicalResult Composer::keepBoundaries(ArrayRef<Sublayer> sublayers) {
  FailureOr<SmallVector<Boundary>> boundaries =
      findBoundaries(sublayers, [&] { return module.emitError(); });
  if (failed(boundaries))
    return failure();
  const int64_t hidden = boundaries->front().hidden();
  SetAttr set = draw((hidden + 1) / 2, hidden);
  for (const Boundary &boundary : *boundaries) {
    if (chance(30))
      continue; // all columns
    if (chance(60))
      set = draw(chance(50) ? (hidden + 1) / 2 : countKeptColumns(hidden, 0.5),
                 hidden);
    KeepOp::create(builder, builder.getUnknownLoc(), boundary.name,
                   Dimension::Hidden, set);
  }
  return success();
}

/// Factors, patterns and zeros anywhere for the weights of single sublayers, or
/// single weights of them. Ranks are of what the sets leave.
LogicalResult Composer::replaceWeights(ArrayRef<Sublayer> sublayers) {
  auto chance = [&](int percent) {
    return weights() % 100 < uint64_t(percent);
  };
  // One for the plan, for each has kernels of its own: most often one that is
  // executed as such, else one that is multiplied as dense.
  const auto pattern = chance(75) ? NMAttr::get(module.getContext(), 2, 4)
                                  : NMAttr::get(module.getContext(), 4, 8);
  bool factors = false, zeros = false;
  for (const Sublayer &sublayer : sublayers) {
    StaticKOptions options;
    options.inputDirectory = directory;
    options.sites = sublayer.name;
    if (chance(50))
      options.sites +=
          sublayer.dimension == Dimension::Channels
              ? (chance(50) ? ".down" : ".{gate,up}")
              : (chance(50) ? ".o" : (chance(50) ? ".{q,k}" : ".v"));
    const uint64_t what = weights() % 10;
    if (what < 4) {
      options.lowRank = 0.5;
      factors = true;
    } else if (what < 7) {
      options.pattern = pattern;
      zeros = true;
    } else if (what < 8) {
      options.unstructured = 0.5;
      zeros = true;
    } else {
      continue;
    }
    if (failed(addStaticKDecisions(module, plan, options)))
      return failure();
  }
  if (factors)
    add("factors");
  if (zeros)
    add("zeros");
  return success();
}

bool Composer::isSkipped(const Sublayer &sublayer) {
  return llvm::any_of(
      plan.getBody().front().getOps<SkipOp>(),
      [&](SkipOp skip) { return namesSite(skip, sublayer.name); });
}

/// Heads that are left of an attention are whole KV heads, so groups that
/// divide those that share one always fit.
static int64_t headsOfGroup(const Sublayer &sublayer, bool isWhole) {
  return isWhole ? sublayer.granule / sublayer.unit : 1;
}

void Composer::routeSublayer(const Sublayer &sublayer) {
  MLIRContext *context = module.getContext();
  auto draw = [&](uint64_t extent) { return routes() % extent; };
  const RouterKind kinds[] = {RouterKind::Linear, RouterKind::Bottleneck,
                              RouterKind::MLP};
  const RouterKind kind = kinds[draw(3)];
  auto router =
      RouterAttr::get(context, kind, kind == RouterKind::Linear ? 0 : 5);
  auto route = RouteOp::create(
      builder, builder.getUnknownLoc(), builder.getStringAttr(sublayer.name),
      IntegerAttr(), UnitAttr(), router, FloatAttr(), FloatAttr(),
      builder.getF64FloatAttr(0.5), UnitAttr(), UnitAttr(), IntegerAttr(),
      StringAttr());
  const uint64_t rule = draw(6), axis = draw(5);
  if (rule == 0)
    route.setThreshold(llvm::APFloat(0.45));
  if (rule == 1)
    route.setTop(llvm::APFloat(0.4));
  route.setSameOrder(draw(4) == 0);
  if (axis == 0) {
    route.setReduction(true);
    route.setGroupSize(draw(2) ? 16 : 9);
  } else if (axis < 3) {
    route.setGroupSize(sublayer.dimension == Dimension::KVHeads
                           ? headsOfGroup(sublayer, draw(2))
                           : (draw(3) ? 16 : 1000));
  } else {
    route.setScaled(draw(2));
    if (draw(2))
      route.setForecast(7);
  }
}

/// Routers for some of the sublayers that are left.
void Composer::routeSublayers(ArrayRef<Sublayer> sublayers) {
  bool any = false;
  for (const Sublayer &sublayer : sublayers)
    if (routes() % 2 && !isSkipped(sublayer)) {
      routeSublayer(sublayer);
      any = true;
    }
  if (any)
    add("routes");
}

/// Blocks of positions for some of the attentions that are left.
void Composer::sparsenAttentions(ArrayRef<Sublayer> sublayers) {
  auto draw = [&](uint64_t extent) { return int64_t(routes() % extent); };
  bool any = false;
  for (const Sublayer &sublayer : sublayers) {
    if (!sublayer.attention || draw(3) == 0 || isSkipped(sublayer))
      continue;
    const bool drops = draw(3) == 0;
    const int64_t top = draw(3);
    auto number = [&](int64_t value) {
      return builder.getI64IntegerAttr(value);
    };
    BlocksOp::create(
        builder, builder.getUnknownLoc(), builder.getStringAttr(sublayer.name),
        number(drops ? 32 : 16), number(1 + draw(2)), number(draw(2)),
        number(top), top && draw(2) ? number(3) : IntegerAttr(), StringAttr(),
        drops ? builder.getF64FloatAttr(0.7) : FloatAttr());
    any = true;
  }
  if (any)
    add("blocks");
}

FailureOr<std::string> Composer::run() {
  FailureOr<SmallVector<Sublayer>> sublayers = findSublayers(module);
  if (failed(sublayers))
    return failure();
  plan = PlanOp::create(builder, builder.getUnknownLoc(), "plan");
  builder.setInsertionPointToEnd(&plan.getBody().front());
  replaces = weights() % 2 == 0;
  if (chance(50)) {
    keepSublayers(*sublayers);
    add("sets of sublayers");
  }
  if (chance(30)) {
    if (failed(keepBoundaries(*sublayers)))
      return failure();
    add("sets of boundaries");
  }
  StaticPlanOptions flags;
  flags.seed = seed;
  if (chance(25)) {
    flags.staticM = 0.5;
    // Of what the sets left undecided there may be less than that.
    if (text.empty()) {
      flags.wholeLayers = chance(40);
      add(flags.wholeLayers ? "layers skipped" : "sublayers skipped");
    } else {
      flags.staticM.reset();
    }
  }
  if (chance(40)) {
    flags.staticNK = 0.5;
    add("static NK");
  }
  if (chance(30)) {
    flags.staticNKCross = 0.5;
    flags.sameWidthSets = chance(40);
    add(flags.sameWidthSets ? "cross-layer NK, equal sets" : "cross-layer NK");
  }
  if ((flags.staticNK || flags.staticNKCross) && chance(10)) {
    flags.offset = 0.3;
    add("offset");
  }
  if ((flags.staticM || flags.staticNK || flags.staticNKCross) &&
      failed(addStaticDecisions(plan, *sublayers, flags)))
    return failure();
  if (replaces && failed(replaceWeights(*sublayers)))
    return failure();
  if (seed % 4 == 0)
    routeSublayers(*sublayers);
  if (seed % 8 == 2 || seed % 8 == 4)
    sparsenAttentions(*sublayers);
  return text.empty() ? std::string("dense") : text;
}

FailureOr<std::string> coppice::addRandomPlan(ModuleOp module, uint64_t seed,
                                              const std::string &directory) {
  return Composer(module, seed, directory).run();
}
