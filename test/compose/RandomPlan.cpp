#include "RandomPlan.h"

#include "coppice/Analysis/Boundaries.h"
#include "coppice/Dialect/Prune/Transforms/StaticPlan.h"

#include "llvm/ADT/Twine.h"

#include <numeric>
#include <random>

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

namespace {
class Composer {
public:
  Composer(ModuleOp module, uint64_t seed)
      : module(module), seed(seed), random(seed * 2 + 1),
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

  void keepSublayers(ArrayRef<Sublayer> sublayers);
  LogicalResult keepBoundaries(ArrayRef<Sublayer> sublayers);
  void add(const Twine &what) {
    text += (text.empty() ? "" : ", ") + what.str();
  }

  ModuleOp module;
  uint64_t seed;
  std::mt19937_64 random;
  OpBuilder builder;
  PlanOp plan;
  std::string text;
};
} // namespace

/// Sets for single sublayers, and some of these are skipped.
void Composer::keepSublayers(ArrayRef<Sublayer> sublayers) {
  for (const Sublayer &sublayer : sublayers) {
    const uint64_t what = below(10);
    if (what == 0)
      SkipOp::create(builder, builder.getUnknownLoc(), sublayer.name);
    else if (what < 5)
      KeepOp::create(builder, builder.getUnknownLoc(), sublayer.name,
                     sublayer.dimension,
                     draw(pick(sublayer.count), sublayer.count));
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

FailureOr<std::string> Composer::run() {
  FailureOr<SmallVector<Sublayer>> sublayers = findSublayers(module);
  if (failed(sublayers))
    return failure();
  plan = PlanOp::create(builder, builder.getUnknownLoc(), "plan");
  builder.setInsertionPointToEnd(&plan.getBody().front());
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
  return text.empty() ? std::string("dense") : text;
}

FailureOr<std::string> coppice::addRandomPlan(ModuleOp module, uint64_t seed) {
  return Composer(module, seed).run();
}
