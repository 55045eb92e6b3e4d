#include "coppice/Analysis/Couplings.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

GemmOperands coppice::getGemmOperands(Operation *op) {
  if (auto gemm = dyn_cast<GemmOp>(op))
    return {&gemm.getInputMutable(), &gemm.getWeightMutable()};
  auto contraction = dyn_cast<linalg::LinalgOp>(op);
  if (!contraction || !linalg::isaContractionOpInterface(contraction) ||
      contraction.getNumDpsInputs() != 2 || contraction.getNumLoops() != 3)
    return {};
  return {contraction.getDpsInputOperand(0), contraction.getDpsInputOperand(1)};
}

/// Is `value` computed inside of the sublayer?
static bool isInside(Value value, StringRef sublayer) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  std::optional<LayerSite> site = parseLayerSite(getSite(op));
  return site && site->sublayer == sublayer && !site->rest.empty();
}

/// The GEMM that `op`, the second of a pair of factors, reads from; else `op`.
static Operation *findFirstFactor(Operation *op) {
  Operation *before = getGemmOperands(op).input->get().getDefiningOp();
  const bool isPair = before && getGemmOperands(before) &&
                      getSite(before) == (getSite(op) + ".v").str();
  return isPair ? before : op;
}

/// The GEMM from which `delta` comes, through element-wise ops such as a bias;
/// of two factors the one that reads the sublayer's width.
static Operation *findSink(Value delta, StringRef sublayer) {
  while (Operation *op = delta.getDefiningOp()) {
    if (getGemmOperands(op))
      return findFirstFactor(op);
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic || generic.getNumParallelLoops() != generic.getNumLoops())
      return nullptr;
    Value next;
    for (Value input : generic.getInputs())
      if (isInside(input, sublayer))
        next = next ? Value() : input; // only where it is unique
    if (!next)
      return nullptr;
    delta = next;
  }
  return nullptr;
}

/// The attention inside of the sublayer from which `value` is computed.
static decoder::AttentionOp findAttention(Value value, StringRef sublayer) {
  llvm::SetVector<Operation *> seen;
  if (Operation *op = value.getDefiningOp())
    seen.insert(op);
  for (size_t i = 0; i < seen.size(); ++i) {
    if (auto attention = dyn_cast<decoder::AttentionOp>(seen[i]))
      return attention;
    for (Value operand : seen[i]->getOperands())
      if (isInside(operand, sublayer))
        seen.insert(operand.getDefiningOp());
  }
  return {};
}

/// Fills in what the sublayer's width is: channels, or KV heads with their
/// queries.
static void findWidth(Sublayer &sublayer) {
  sublayer.sink = findSink(sublayer.delta->get(), sublayer.name);
  if (!sublayer.sink)
    return;
  Value input = getGemmOperands(sublayer.sink).input->get();
  int64_t width = cast<RankedTensorType>(input.getType()).getDimSize(1);
  if (ShapedType::isDynamic(width)) {
    sublayer.sink = nullptr;
    return;
  }
  sublayer.count = width;
  decoder::AttentionOp attention = findAttention(input, sublayer.name);
  if (!attention)
    return;
  sublayer.attention = attention;
  sublayer.dimension = Dimension::KVHeads;
  sublayer.count = attention.getKvHeads();
  sublayer.granule = width / sublayer.count;
  sublayer.unit = attention.getHeadDim();
}

/// Adds the sublayers of one function.
static LogicalResult findSublayers(func::FuncOp function,
                                   SmallVectorImpl<Sublayer> &sublayers) {
  // Indices of a plan mean the dense model, which a pruned one is not.
  WalkResult dense = function.walk([](Operation *op) -> WalkResult {
    if (isa<ProjectOp, ProjectByOp, RestrictOp, ExtendOp, ReplaceOp,
            SelectBlocksOp>(op))
      return op->emitError()
             << "expected a dense module to apply a plan to, found a "
             << (isa<ReplaceOp>(op)        ? "replaced weight"
                 : isa<SelectBlocksOp>(op) ? "choice of blocks"
                                           : "projection");
    return WalkResult::advance();
  });
  if (dense.wasInterrupted())
    return failure();
  auto findOne = [&](linalg::GenericOp op) -> WalkResult {
    std::optional<LayerSite> site = parseLayerSite(getSite(op));
    if (!site || site->sublayer == site->layerName || !site->rest.empty())
      return WalkResult::advance();
    Sublayer sublayer{site->sublayer.str(), site->layer, op, nullptr};
    for (OpOperand *input : op.getDpsInputOperands())
      if (isInside(input->get(), sublayer.name)) {
        if (sublayer.delta)
          return op.emitError() << "expected one operand of '" << sublayer.name
                                << "' that is computed inside of it, found two";
        sublayer.delta = input;
      }
    if (!sublayer.delta || op.getNumDpsInputs() != 2)
      return op.emitError()
             << "expected '" << sublayer.name << "' to add what ops named '"
             << sublayer.name << ".*' compute to the residual";
    findWidth(sublayer);
    sublayers.push_back(std::move(sublayer));
    return WalkResult::advance();
  };
  return failure(function.walk(findOne).wasInterrupted());
}

FailureOr<SmallVector<Sublayer>> coppice::findSublayers(ModuleOp module) {
  SmallVector<Sublayer> sublayers;
  for (auto function : module.getOps<func::FuncOp>())
    if (failed(::findSublayers(function, sublayers)))
      return failure();
  return sublayers;
}
