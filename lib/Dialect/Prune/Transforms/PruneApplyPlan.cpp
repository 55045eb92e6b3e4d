// Comes in: a dense module, with or without a plan. Goes out: the same program
// with each matrix multiplication site as a prune.gemm, and each decision of
// the plan as a prune.project, or, of routes, a prune.project_by. All decisions
// are checked against the model first and gathered by sublayer; only then is
// anything written, so that the order of the decisions cannot matter and a
// wrong plan changes nothing.
#include "ActivationPlan.h"
#include "BlocksPlan.h"
#include "HiddenPlan.h"
#include "RoutePlan.h"
#include "SetFiles.h"
#include "WeightDecisions.h"
#include "coppice/Analysis/Couplings.h"
#include "coppice/Analysis/SiteGlob.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace coppice::prune {
#define GEN_PASS_DEF_PRUNEAPPLYPLAN
#include "coppice/Dialect/Prune/Transforms/Passes.h.inc"
} // namespace coppice::prune

using namespace coppice;
using namespace coppice::prune;

//===----------------------------------------------------------------------===//
// Sites to prune.gemm
//===----------------------------------------------------------------------===//

/// Does the matmul start from zeros?
static bool hasZeroInit(linalg::MatmulOp matmul) {
  auto fill = matmul.getOutputs()[0].getDefiningOp<linalg::FillOp>();
  return fill && matchPattern(fill.getInputs()[0], m_AnyZeroFloat());
}

/// C[m, n] = sum_k A[m, k] W[n, k], widened as signed, that is: floats
/// extended.
static bool hasGemmMaps(linalg::MatmulOp matmul) {
  AffineExpr m, n, k;
  bindDims(matmul.getContext(), m, n, k);
  auto map = [&](AffineExpr row, AffineExpr column) {
    return AffineMap::get(3, 0, {row, column}, matmul.getContext());
  };
  return matmul.getIndexingMapsArray() ==
         SmallVector<AffineMap>{map(m, k), map(n, k), map(m, n)};
}

/// Replaces a matmul site by a prune.gemm; null if it is not of that form.
static GemmOp convertToGemm(linalg::MatmulOp matmul) {
  if (getSite(matmul).empty() || !matmul.hasPureTensorSemantics() ||
      !hasZeroInit(matmul) || !hasGemmMaps(matmul))
    return {};
  Type result = matmul.getResult(0).getType();
  if (!llvm::all_of(matmul->getOperandTypes(), [](Type type) {
        return isa<FloatType>(cast<ShapedType>(type).getElementType());
      }))
    return {};
  OpBuilder builder(matmul);
  auto gemm = GemmOp::create(builder, matmul.getLoc(), result, getSite(matmul),
                             matmul.getInputs()[0], matmul.getInputs()[1]);
  for (NamedAttribute attribute : matmul->getDiscardableAttrs())
    if (attribute.getName() != PruneDialect::siteAttrName)
      gemm->setDiscardableAttr(attribute.getName(), attribute.getValue());
  matmul.getResult(0).replaceAllUsesWith(gemm.getResult());
  Value init = matmul.getOutputs()[0];
  matmul.erase();
  // The fill was this matmul's own, or goes with its last user.
  for (Operation *op = init.getDefiningOp(); op && isOpTriviallyDead(op);) {
    Operation *dead = op;
    op = op->getNumOperands() == 0 ? nullptr
                                   : op->getOperands().back().getDefiningOp();
    dead->erase();
  }
  return gemm;
}

//===----------------------------------------------------------------------===//
// Decisions
//===----------------------------------------------------------------------===//

namespace {
/// What a plan says about one sublayer.
struct Decision {
  DecisionOpInterface op; // null: nothing
  SetAttr keep;           // null: the sublayer is skipped
};

/// Reads a plan against the model.
class PlanReader {
public:
  /// Relative paths start at `directory`, or if that is empty at the file that
  /// the decision is written in.
  PlanReader(ModuleOp module, ArrayRef<Sublayer> sublayers, StringRef directory,
             bool openSources)
      : sublayers(sublayers), directory(directory),
        hidden(sublayers, directory, files),
        routes(module, sublayers, files, {directory, openSources}),
        blocks(module, sublayers, files, {directory, openSources}) {
    decisions.resize(sublayers.size());
    for (auto [index, sublayer] : llvm::enumerate(sublayers)) {
      names[sublayer.name].push_back(index);
      names[parseLayerSite(sublayer.name)->layerName].push_back(index);
    }
  }

  LogicalResult read(PlanOp plan) {
    for (Operation &op : plan.getBody().front())
      if (failed(readOne(cast<DecisionOpInterface>(op))))
        return failure();
    if (failed(checkSkipped()))
      return failure();
    return routes.check([&](size_t index) { return decisions[index].keep; });
  }

  ArrayRef<Decision> getDecisions() const { return decisions; }
  const HiddenPlan &getHidden() const { return hidden; }
  RoutePlan &getRoutes() { return routes; }
  BlocksPlan &getBlocks() { return blocks; }

private:
  /// Matches a decision's glob; gives the indices of the sublayers it names.
  FailureOr<SmallVector<size_t>> resolveSites(DecisionOpInterface op,
                                              bool allowLayers,
                                              bool *foundLayers = nullptr);
  LogicalResult checkSkipped();
  LogicalResult readOne(DecisionOpInterface op);
  LogicalResult decide(size_t index, Decision decision);
  FailureOr<SetAttr> resolveSet(KeepOp op, const Sublayer &sublayer);

  ArrayRef<Sublayer> sublayers;
  StringRef directory;
  SafetensorsSetReader files;
  HiddenPlan hidden;
  RoutePlan routes;
  BlocksPlan blocks;
  SmallVector<Decision> decisions; // of the sublayer with the same index
  /// Layers and sublayers by name, in the model's order.
  llvm::MapVector<StringRef, SmallVector<size_t, 2>> names;
};
} // namespace

FailureOr<SmallVector<size_t>> PlanReader::resolveSites(DecisionOpInterface op,
                                                        bool allowLayers,
                                                        bool *foundLayers) {
  std::string error;
  std::optional<SiteGlob> glob = SiteGlob::parse(op.getSites(), error);
  if (!glob)
    return op->emitOpError() << "'" << op.getSites() << "': " << error;
  SmallVector<size_t> found;
  bool foundLayer = false;
  for (auto &[name, indices] : names) {
    if (!glob->match(name))
      continue;
    foundLayer |= name != sublayers[indices.front()].name;
    found.append(indices.begin(), indices.end());
  }
  auto describe = [&](InFlightDiagnostic diagnostic) {
    if (sublayers.empty())
      diagnostic << "; the model has no sublayers";
    else
      diagnostic << "; the model has layers " << sublayers.front().layer
                 << " to " << sublayers.back().layer
                 << ", with sublayers such as '" << sublayers.front().name
                 << "'";
    return diagnostic;
  };
  if (found.empty())
    return describe(op->emitOpError() << "'" << op.getSites() << "' names no "
                                      << (allowLayers ? "layer or " : "")
                                      << "sublayer of the model");
  if (std::optional<std::string> unmatched = glob->findUnmatched())
    return describe(op->emitOpError()
                    << "'" << *unmatched << "' in '" << op.getSites()
                    << "' is out of range: nothing of the model matches it");
  if (foundLayer && !allowLayers)
    return op->emitOpError()
           << "'" << op.getSites()
           << "' names whole layers, expected sublayers such as '"
           << sublayers[found.front()].name << "'";
  if (foundLayers)
    *foundLayers = foundLayer;
  return found;
}

/// A sublayer that is gone has no rows and no blocks to decide about.
LogicalResult PlanReader::checkSkipped() {
  for (auto [index, decision] : llvm::enumerate(decisions)) {
    if (!decision.op || decision.keep)
      continue;
    Operation *other = routes.getDecision(index);
    if (!other)
      other = blocks.getDecision(index);
    if (!other)
      continue;
    InFlightDiagnostic diagnostic =
        other->emitOpError() << "'" << sublayers[index].name << "' has no "
                             << (isa<RouteOp>(other) ? "rows" : "blocks")
                             << " to decide about: it is skipped";
    diagnostic.attachNote(decision.op->getLoc())
        << "the other decision, about '" << decision.op.getSites()
        << "', is here";
    return diagnostic;
  }
  return success();
}

LogicalResult PlanReader::decide(size_t index, Decision decision) {
  Decision &present = decisions[index];
  if (present.op) {
    InFlightDiagnostic diagnostic = decision.op->emitOpError()
                                    << "'" << sublayers[index].name
                                    << "' is decided about twice";
    diagnostic.attachNote(present.op->getLoc())
        << "the other decision, about '" << present.op.getSites()
        << "', is here";
    return diagnostic;
  }
  present = decision;
  return success();
}

FailureOr<SetAttr> PlanReader::resolveSet(KeepOp op, const Sublayer &sublayer) {
  StringRef dimension = stringifyDimension(op.getDimension());
  if (!sublayer.sink)
    return op.emitOpError()
           << "'" << sublayer.name
           << "' does not end with a matrix multiplication of static width, "
           << "so there are no " << dimension << " to keep";
  if (op.getDimension() != sublayer.dimension)
    return op.emitOpError() << "'" << sublayer.name << "' has "
                            << stringifyDimension(sublayer.dimension)
                            << " to keep, found " << dimension;
  return resolveKeptSet(op, sublayer.name, sublayer.count, files, directory);
}

LogicalResult PlanReader::readOne(DecisionOpInterface op) {
  if (isa<FactorOp, PatternOp, MaskOp>(op))
    return success(); // about weights, WeightDecisions.h
  if (isa<ActivationsOp>(op))
    return success(); // about inputs of weights, ActivationPlan.h
  if (auto route = dyn_cast<RouteOp>(op.getOperation())) {
    bool isLayer = false;
    FailureOr<SmallVector<size_t>> indices =
        resolveSites(op, /*allowLayers=*/true, &isLayer);
    return failed(indices) ? failure() : routes.read(route, *indices, isLayer);
  }
  if (auto blocksOp = dyn_cast<BlocksOp>(op.getOperation())) {
    FailureOr<SmallVector<size_t>> indices =
        resolveSites(op, /*allowLayers=*/false);
    return failed(indices) ? failure() : blocks.read(blocksOp, *indices);
  }
  auto keep = dyn_cast<KeepOp>(op.getOperation());
  if (!keep && !isa<SkipOp>(op))
    return op->emitOpError()
           << "is a decision that 'prune-apply-plan' cannot apply";
  if (keep && keep.getDimension() == Dimension::Hidden)
    return hidden.read(keep);
  FailureOr<SmallVector<size_t>> indices =
      resolveSites(op, /*allowLayers=*/!keep);
  if (failed(indices))
    return failure();
  SetAttr set;
  for (size_t index : *indices) {
    // Sublayers of the same count share the set that has been resolved.
    if (keep && (!set || set.getCount() != sublayers[index].count ||
                 keep.getDimension() != sublayers[index].dimension ||
                 !sublayers[index].sink)) {
      FailureOr<SetAttr> resolved = resolveSet(keep, sublayers[index]);
      if (failed(resolved))
        return failure();
      set = *resolved;
    }
    if (failed(decide(index, {op, set})))
      return failure();
  }
  // An external set becomes a literal: the module then says all that is
  // decided.
  if (keep && set && isa<FileSetAttr>(keep.getSet()))
    keep->setAttr(keep.getSetAttrName(), set);
  return success();
}

//===----------------------------------------------------------------------===//
// Projections
//===----------------------------------------------------------------------===//

/// Puts a projection in front of one operand.
static void project(OpOperand &operand, StringRef site, int64_t axis,
                    SetAttr keep) {
  OpBuilder builder(operand.getOwner());
  operand.set(ProjectOp::create(builder, operand.getOwner()->getLoc(),
                                operand.get().getType(), site, operand.get(),
                                axis, keep));
}

static void apply(const Sublayer &sublayer, const Decision &decision) {
  if (!decision.keep) {
    auto rows =
        cast<RankedTensorType>(sublayer.delta->get().getType()).getDimSize(0);
    project(*sublayer.delta, sublayer.name, 0,
            SetAttr::none(decision.op->getContext(), rows));
    return;
  }
  OpOperand &input = *getGemmOperands(sublayer.sink).input;
  project(input, sublayer.name, 1, decision.keep.expand(sublayer.granule));
}

namespace {
struct PruneApplyPlanPass
    : coppice::prune::impl::PruneApplyPlanBase<PruneApplyPlanPass> {
  using PruneApplyPlanBase::PruneApplyPlanBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    FailureOr<PlanOp> chosen = choosePlan(module);
    if (failed(chosen))
      return signalPassFailure();
    module.walk([&](linalg::MatmulOp matmul) {
      numGemms += convertToGemm(matmul) ? 1 : 0;
    });
    if (*chosen && failed(applyPlan(module, *chosen)))
      signalPassFailure();
  }

private:
  /// The plan by the option's name, or the only one; null if there is none.
  FailureOr<PlanOp> choosePlan(ModuleOp module) {
    if (!plan.empty()) {
      if (auto op = module.lookupSymbol<PlanOp>(plan))
        return op;
      return module.emitError()
             << "expected a plan '@" << plan << "', found none";
    }
    auto plans = llvm::to_vector(module.getOps<PlanOp>());
    if (plans.size() > 1) {
      InFlightDiagnostic diagnostic =
          plans[1].emitError()
          << "expected one plan, or the option 'plan' to name one of several";
      diagnostic.attachNote(plans[0].getLoc()) << "another plan is here";
      return diagnostic;
    }
    return plans.empty() ? PlanOp() : plans.front();
  }

  LogicalResult applyPlan(ModuleOp module, PlanOp op) {
    FailureOr<SmallVector<Sublayer>> sublayers = findSublayers(module);
    if (failed(sublayers))
      return failure();
    PlanReader reader(module, *sublayers, directory, openSources);
    if (failed(reader.read(op)))
      return failure();
    for (auto [sublayer, decision] :
         llvm::zip_equal(*sublayers, reader.getDecisions())) {
      if (!decision.op)
        continue;
      apply(sublayer, decision);
      ++numProjections;
    }
    FailureOr<int64_t> sparse = applyActivationDecisions(module, op);
    if (failed(sparse))
      return failure();
    numSparse += *sparse;
    numBlocks += reader.getBlocks().apply();
    // Ahead of the hidden dimension, whose projections routers read through.
    numRoutes += reader.getRoutes().apply();
    numProjections += reader.getHidden().apply();
    // Last, for what is skipped has no weights to change.
    FailureOr<int64_t> replaced =
        applyWeightDecisions(module, op, {directory, openSources});
    if (failed(replaced))
      return failure();
    numReplaced += *replaced;
    return success();
  }
};
} // namespace
