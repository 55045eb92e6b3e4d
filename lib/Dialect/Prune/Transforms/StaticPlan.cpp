#include "coppice/Dialect/Prune/Transforms/StaticPlan.h"
#include "coppice/Analysis/Boundaries.h"
#include "coppice/Analysis/PlanSites.h"
#include "coppice/Analysis/Sites.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/xxhash.h"
#include <cmath>
#include <numeric>

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

/// floor(x), where x is a product that may have been rounded below an integer.
static int64_t floorOf(double x) {
  return static_cast<int64_t>(std::floor(x + 1e-9));
}

int64_t coppice::prune::roundUpToSixteen(double x) {
  int64_t whole = floorOf(x);
  return x > 16 ? (whole + 15) / 16 * 16 : whole;
}

int64_t coppice::prune::countKeptColumns(int64_t width, double sparsity) {
  double exact = static_cast<double>(width) * (1 - sparsity);
  return std::clamp<int64_t>(roundUpToSixteen(exact), 1, width);
}

int64_t coppice::prune::countKeptHeads(int64_t kvHeads, double sparsity) {
  return std::clamp<int64_t>(
      floorOf(static_cast<double>(kvHeads) * (1 - sparsity)), 1, kvHeads);
}

namespace {
/// splitmix64 (Steele, Lea and Flood, OOPSLA 2014): the same on every platform.
class Draw {
public:
  Draw(uint64_t seed, StringRef stream)
      : state(seed ^ llvm::xxh3_64bits(stream)) {}

  /// `count` of the numbers below `extent`, ascending.
  SmallVector<int64_t> choose(int64_t count, int64_t extent) {
    SmallVector<int64_t> numbers(extent);
    std::iota(numbers.begin(), numbers.end(), 0);
    for (int64_t i = 0; i < count; ++i)
      std::swap(numbers[i], numbers[i + below(extent - i)]);
    numbers.truncate(count);
    llvm::sort(numbers);
    return numbers;
  }

  /// A number from 0 to below 1.
  double fraction() { return static_cast<double>(next() >> 11) * 0x1p-53; }

private:
  int64_t below(int64_t extent) {
    // The bias of the remainder is below 2^-32 for extents of any model.
    return static_cast<int64_t>(next() % static_cast<uint64_t>(extent));
  }
  uint64_t next() {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  uint64_t state;
};

class StaticPlanner {
public:
  StaticPlanner(PlanOp plan, ArrayRef<Sublayer> all,
                const StaticPlanOptions &options)
      : plan(plan), options(options),
        builder(OpBuilder::atBlockEnd(&plan.getBody().front())), all(all) {}

  LogicalResult run() {
    if (failed(checkSparsity("static M", options.staticM)) ||
        failed(checkSparsity("static NK", options.staticNK)) ||
        failed(checkSparsity("cross-layer static NK", options.staticNKCross)) ||
        failed(checkOffset()) || failed(selectSites()))
      return failure();
    findDecided();
    if (options.staticM &&
        failed(options.wholeLayers ? skipLayers() : skipSublayers()))
      return failure();
    if (options.staticNK)
      keepWidths(*options.staticNK);
    return options.staticNKCross ? keepHidden(*options.staticNKCross)
                                 : success();
  }

private:
  LogicalResult checkSparsity(StringRef what, std::optional<double> sparsity) {
    if (!sparsity || (*sparsity >= 0 && *sparsity < 1))
      return success();
    return plan.emitError() << "expected a sparsity of " << what
                            << " from 0 to below 1, found " << *sparsity;
  }

  LogicalResult checkOffset() {
    if (options.offset != 0 && !options.staticNK && !options.staticNKCross)
      return plan.emitError()
             << "expected a sparsity of static NK or "
                "cross-layer static NK for the offset to vary, "
                "found neither";
    if (options.offset >= 0 && options.offset < 1)
      return success();
    return plan.emitError() << "expected an offset of sparsities from 0 to "
                               "below 1, found "
                            << options.offset;
  }

  /// The sparsity of one component.
  double sparsityOf(StringRef component, double sparsity) {
    if (options.offset == 0)
      return sparsity;
    double offset =
        (2 * Draw(options.seed, ("offset:" + component).str()).fraction() - 1) *
        options.offset;
    return std::clamp(sparsity + offset, 0.0, 1.0);
  }

  LogicalResult selectSites() {
    FailureOr<SiteGlob> glob = parseSitesFlag(plan, options.sites, "*.*.*");
    if (failed(glob))
      return failure();
    for (const Sublayer &sublayer : all)
      if (glob->match(sublayer.name))
        selected.push_back(&sublayer);
    if (selected.empty())
      return plan.emitError()
             << "sites '" << options.sites
             << "' name no sublayer of the model, expected such as '"
             << (all.empty() ? "layers.0.mlp" : all.front().name) << "'";
    return success();
  }

  /// What the plan says already.
  void findDecided() {
    for (auto decision : plan.getBody().front().getOps<DecisionOpInterface>()) {
      auto keep = dyn_cast<KeepOp>(decision.getOperation());
      if (keep && keep.getDimension() == Dimension::Hidden)
        continue;
      for (const Sublayer &sublayer : all)
        if (namesSite(decision, sublayer.name)) {
          // Rows may be left to a router, and blocks be chosen, of what keeps a
          // part of its width.
          (isa<RouteOp, BlocksOp>(decision) ? dynamic : decided)
              .insert(sublayer.name);
          if (isa<SkipOp>(decision))
            skipped.insert(sublayer.name);
        }
    }
  }

  /// Skips floor(L s) of the groups; a group is what is skipped together.
  LogicalResult skip(StringRef suffix,
                     ArrayRef<SmallVector<const Sublayer *>> groups) {
    int64_t count =
        floorOf(static_cast<double>(groups.size()) * *options.staticM);
    SmallVector<ArrayRef<const Sublayer *>> open;
    for (ArrayRef<const Sublayer *> group : groups)
      if (llvm::none_of(group, [&](const Sublayer *sublayer) {
            return decided.contains(sublayer->name) ||
                   dynamic.contains(sublayer->name);
          }))
        open.push_back(group);
    if (count > static_cast<int64_t>(open.size()))
      return plan.emitError()
             << "expected at least " << count << " of layers.*" << suffix
             << " that the plan leaves undecided, to skip them at random, "
                "found "
             << open.size();
    if (count == 0)
      return success();
    std::string layers;
    for (int64_t index : Draw(options.seed, ("skip" + suffix).str())
                             .choose(count, open.size())) {
      layers += (layers.empty() ? "" : ",") +
                std::to_string(open[index].front()->layer);
      for (const Sublayer *sublayer : open[index]) {
        decided.insert(sublayer->name);
        skipped.insert(sublayer->name);
      }
    }
    if (count > 1)
      layers = "{" + layers + "}";
    SkipOp::create(builder, plan.getLoc(), ("layers." + layers + suffix).str());
    return success();
  }

  LogicalResult skipLayers() {
    llvm::MapVector<int64_t, SmallVector<const Sublayer *>> layers;
    for (const Sublayer *sublayer : selected)
      layers[sublayer->layer].push_back(sublayer);
    return skip("", llvm::to_vector(llvm::make_second_range(layers)));
  }

  LogicalResult skipSublayers() {
    llvm::MapVector<StringRef, SmallVector<SmallVector<const Sublayer *>>>
        kinds;
    for (const Sublayer *sublayer : selected) {
      StringRef name = sublayer->name;
      kinds[name.drop_front(parseLayerSite(name)->layerName.size())].push_back(
          {sublayer});
    }
    for (auto &[suffix, groups] : kinds)
      if (failed(skip(suffix, groups)))
        return failure();
    return success();
  }

  void keepWidths(double sparsity) {
    for (const Sublayer *sublayer : selected) {
      if (decided.contains(sublayer->name) || !sublayer->sink)
        continue;
      bool isHeads = sublayer->dimension == Dimension::KVHeads;
      double mine = sparsityOf(sublayer->name, sparsity);
      int64_t kept = isHeads ? countKeptHeads(sublayer->count, mine)
                             : countKeptColumns(sublayer->count, mine);
      if (kept == sublayer->count)
        continue;
      SmallVector<int64_t> indices =
          Draw(options.seed, sublayer->name).choose(kept, sublayer->count);
      auto set =
          SetAttr::fromIndices(plan.getContext(), indices, sublayer->count);
      KeepOp::create(builder, plan.getLoc(), sublayer->name,
                     sublayer->dimension, set);
    }
  }

  /// The boundaries that a set is drawn for: not those of skipped sublayers,
  /// nor those that the plan decides about.
  FailureOr<SmallVector<Boundary>> findOpenBoundaries() {
    FailureOr<SmallVector<Boundary>> boundaries =
        findBoundaries(all, [&] { return plan.emitError(); });
    if (failed(boundaries))
      return failure();
    auto matches = [](const Boundary &boundary, StringRef sites) {
      std::string error;
      std::optional<SiteGlob> glob = SiteGlob::parse(sites, error);
      return glob && glob->match(boundary.name);
    };
    llvm::erase_if(*boundaries, [&](const Boundary &boundary) {
      return skipped.contains(boundary.name) ||
             (!options.sites.empty() && !matches(boundary, options.sites)) ||
             llvm::any_of(plan.getBody().front().getOps<KeepOp>(),
                          [&](KeepOp keep) {
                            return keep.getDimension() == Dimension::Hidden &&
                                   matches(boundary, keep.getSites());
                          });
    });
    return boundaries;
  }

  LogicalResult keepHidden(double sparsity) {
    FailureOr<SmallVector<Boundary>> open = findOpenBoundaries();
    if (failed(open))
      return failure();
    auto keep = [&](StringRef sites, int64_t hidden, StringRef stream) {
      int64_t kept = countKeptColumns(hidden, sparsityOf(stream, sparsity));
      if (kept == hidden)
        return;
      SmallVector<int64_t> indices =
          Draw(options.seed, stream).choose(kept, hidden);
      KeepOp::create(builder, plan.getLoc(), sites, Dimension::Hidden,
                     SetAttr::fromIndices(plan.getContext(), indices, hidden));
    };
    // All alike, and nothing said otherwise: the plan says it in two lines. It
    // does no harm at the boundary of a skipped sublayer.
    bool saysNothing =
        llvm::none_of(plan.getBody().front().getOps<KeepOp>(), [](KeepOp keep) {
          return keep.getDimension() == Dimension::Hidden;
        });
    if (options.sameWidthSets && options.sites.empty() && saysNothing) {
      for (StringRef sites : {"embed", "layers.*.*"})
        keep(sites, open->front().hidden(), "hidden");
      return success();
    }
    for (const Boundary &boundary : *open)
      keep(boundary.name, boundary.hidden(),
           options.sameWidthSets ? std::string("hidden")
                                 : boundary.name + ".hidden");
    return success();
  }

  PlanOp plan;
  const StaticPlanOptions &options;
  OpBuilder builder;
  ArrayRef<Sublayer> all;
  SmallVector<const Sublayer *> selected;
  llvm::StringSet<> decided, dynamic, skipped;
};
} // namespace

LogicalResult
coppice::prune::addStaticDecisions(PlanOp plan, ArrayRef<Sublayer> sublayers,
                                   const StaticPlanOptions &options) {
  return StaticPlanner(plan, sublayers, options).run();
}
