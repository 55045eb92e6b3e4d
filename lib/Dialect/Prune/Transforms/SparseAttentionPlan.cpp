#include "coppice/Dialect/Prune/Transforms/SparseAttentionPlan.h"
#include "coppice/Analysis/PlanSites.h"
#include <cmath>

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

namespace {
struct Counts {
  int64_t recent = 1, first = 0, top = 0;
};
} // namespace

static FailureOr<Counts> countBlocks(PlanOp plan,
                                     const SparseAttentionOptions &options) {
  if (options.blockSize < 16 || options.blockSize % 16)
    return plan.emitError() << "expected a --block of a positive multiple of "
                               "16 positions, found "
                            << options.blockSize;
  if (options.threshold && !(*options.threshold > 0 && *options.threshold < 1))
    return plan.emitError() << "expected an --attention-threshold between 0 "
                               "and 1, found "
                            << *options.threshold;
  if (options.threshold && (options.blockSize % 32 || options.blockSize > 256))
    return plan.emitError() << "expected a --block of a multiple of 32 "
                               "positions up to 256 for --attention-threshold, "
                               "found "
                            << options.blockSize;
  if (!options.sparsity)
    return Counts{options.window.value_or(1), options.sinks.value_or(0),
                  options.top.value_or(0)};
  if (!(*options.sparsity >= 0 && *options.sparsity <= 1))
    return plan.emitError() << "expected a sparsity of --sparse-attention from "
                               "0 to 1, found "
                            << *options.sparsity;
  if (options.context < 1)
    return plan.emitError()
           << "expected a context of at least 1 position, found "
           << options.context;
  auto all =
      static_cast<double>(llvm::divideCeil(options.context, options.blockSize));
  // A hair less: 0.2 of 5 blocks is to leave out one of them.
  auto kept = std::max<int64_t>(
      1, std::llround(std::ceil((1 - *options.sparsity) * all - 1e-9)));
  Counts counts;
  counts.first = kept >= 2 ? 1 : 0;
  counts.recent = std::max<int64_t>(1, (kept - counts.first + 1) / 2);
  counts.top = kept - counts.first - counts.recent;
  return counts;
}

/// Is the sublayer gone, or has this been said about it?
static bool isSettled(PlanOp plan, const Sublayer &sublayer) {
  return llvm::any_of(plan.getBody().front().getOps<DecisionOpInterface>(),
                      [&](DecisionOpInterface decision) {
                        return isa<SkipOp, BlocksOp>(decision) &&
                               namesSite(decision, sublayer.name);
                      });
}

LogicalResult coppice::prune::addSparseAttentionDecisions(
    PlanOp plan, ArrayRef<Sublayer> sublayers,
    const SparseAttentionOptions &options) {
  if (!options.any())
    return success();
  FailureOr<Counts> counts = countBlocks(plan, options);
  if (failed(counts))
    return failure();
  FailureOr<SiteGlob> glob = parseSitesFlag(plan, options.sites, "*.*.*");
  if (failed(glob))
    return failure();
  SmallVector<StringRef> open;
  for (const Sublayer &sublayer : sublayers)
    if (sublayer.attention && glob->match(sublayer.name) &&
        !isSettled(plan, sublayer))
      open.push_back(sublayer.name);
  if (open.empty())
    return plan.emitError()
           << "expected an attention for --sparse-attention that the plan "
              "neither skips nor has a 'prune.blocks' for, found none"
           << describeSitesFlag(options.sites);
  auto builder = OpBuilder::atBlockEnd(&plan.getBody().front());
  if (options.scorer && counts->top == 0)
    return plan.emitError() << "expected blocks that are chosen by score for "
                               "--block-scorer, found none; --top-blocks K or "
                               "a smaller --sparse-attention has some";
  // A threshold alone has no lists.
  IntegerAttr recent;
  if (options.choosesBlocks())
    recent = builder.getI64IntegerAttr(counts->recent);
  for (StringRef name : open) {
    IntegerAttr scorer;
    StringAttr file;
    FloatAttr threshold;
    if (options.scorer)
      scorer = builder.getI64IntegerAttr(*options.scorer);
    if (scorer && !options.scorerFile.empty())
      file = builder.getStringAttr(options.scorerFile);
    if (options.threshold)
      threshold = builder.getF64FloatAttr(*options.threshold);
    BlocksOp::create(builder, plan.getLoc(), builder.getStringAttr(name),
                     builder.getI64IntegerAttr(options.blockSize), recent,
                     builder.getI64IntegerAttr(counts->first),
                     builder.getI64IntegerAttr(counts->top), scorer, file,
                     threshold);
  }
  return success();
}
