//===- PruneFuseEpilogues.cpp - elementwise consumers into GEMMs ----------===//
// In: a propagated @forward with prune.gemm and elementwise linalg.generic ops.
// Out: those generics inside of the epilogue of the GEMM that feeds them.
//
// One walk in program order suffices: a generic that has been fused leaves a
// GEMM with a new result, whose consumer comes later in the walk.
//===----------------------------------------------------------------------===//
#include "coppice/Schedule/Passes.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace coppice {
#define GEN_PASS_DEF_PRUNEFUSEEPILOGUES
#include "coppice/Schedule/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;

/// Is every element of the result a function of one element of each operand,
/// at [m, n] or, for vectors, at [n], or at [m, 0] of one column?
static bool isElementwise(linalg::GenericOp op) {
  if (op.getNumDpsInits() != 1 || op->getNumResults() != 1 ||
      op.getNumParallelLoops() != 2 || op.getNumLoops() != 2)
    return false;
  auto type = dyn_cast<RankedTensorType>(op.getResult(0).getType());
  if (!type || !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
    return false;
  if (!op.getMatchingBlockArgument(op.getDpsInitOperand(0)).use_empty())
    return false;
  AffineMap columns =
      AffineMap::get(2, 0, getAffineDimExpr(1, op.getContext()));
  AffineMap perRow = AffineMap::get(2, 0,
                                    {getAffineDimExpr(0, op.getContext()),
                                     getAffineConstantExpr(0, op.getContext())},
                                    op.getContext());
  for (OpOperand *input : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(input);
    auto inputType = dyn_cast<RankedTensorType>(input->get().getType());
    if (!inputType || !(map.isIdentity() || map == columns || map == perRow))
      return false;
    // Operands of an epilogue are told apart by their shapes.
    if (map == perRow && (inputType.getDimSize(1) != 1 ||
                          inputType.getDimSize(0) != type.getDimSize(0)))
      return false;
    if (map.isIdentity() && inputType.getShape() != type.getShape())
      return false;
  }
  // Indices have no meaning inside of an epilogue, nor have nested regions.
  return llvm::all_of(op.getBody()->getOperations(), [](Operation &nested) {
    return nested.getNumRegions() == 0 && !isa<linalg::IndexOp>(nested);
  });
}

/// Can an epilogue of `gemm` yield the elements of `type` from unrounded sums?
static bool canYield(prune::GemmOp gemm, RankedTensorType type) {
  auto from = cast<RankedTensorType>(gemm.getType());
  return from.getShape() == type.getShape() &&
         (from.getElementType().isF32()
              ? type.getElementTypeBitWidth() <= 32
              : from.getElementTypeBitWidth() > 32 && from == type);
}

/// The latest GEMM whose only consumer is `op`; as it comes last, the values
/// that the others make are at hand where it ends up.
static prune::GemmOp findProducer(linalg::GenericOp op) {
  prune::GemmOp latest;
  for (OpOperand *input : op.getDpsInputOperands()) {
    auto gemm = input->get().getDefiningOp<prune::GemmOp>();
    // What sets leave out would not go through the epilogue.
    if (!gemm || gemm.leavesOut() || !gemm->hasOneUse() ||
        gemm->getBlock() != op->getBlock() ||
        !canYield(gemm, cast<RankedTensorType>(op.getResult(0).getType())) ||
        !op.getMatchingIndexingMap(input).isIdentity())
      continue;
    if (!latest || latest->isBeforeInBlock(gemm))
      latest = gemm;
  }
  return latest;
}

/// Appends the body of `op` to what `gemm` computes already.
static void fuse(linalg::GenericOp op, prune::GemmOp gemm) {
  OpBuilder builder(op);
  SmallVector<Value> extras(gemm.getExtras());
  for (OpOperand *input : op.getDpsInputOperands())
    if (input->get() != gemm.getResult())
      extras.push_back(input->get());

  auto fused =
      prune::GemmOp::create(builder, op.getLoc(), op.getResult(0).getType(),
                            gemm.getSite(), gemm.getInput(), gemm.getWeight());
  fused->setDiscardableAttrs(gemm->getDiscardableAttrDictionary());
  // What is zero is what the last op of all makes zero.
  StringRef threshold = prune::PruneDialect::thresholdAttrName;
  fused->removeDiscardableAttr(threshold);
  if (Attribute own = op->getDiscardableAttr(threshold))
    fused->setDiscardableAttr(threshold, own);
  fused.setPatternAttr(gemm.getPatternAttr());
  fused.setInputZerosAttr(gemm.getInputZerosAttr());
  if (gemm.getRows())
    fused.getRowsMutable().assign(gemm.getRows());
  if (gemm.getRowCount())
    fused.getRowCountMutable().assign(gemm.getRowCount());
  fused.setRowSidesAttr(gemm.getRowSidesAttr());
  if (gemm.getGroups())
    fused.getGroupsMutable().assign(gemm.getGroups());
  if (gemm.getGroupCount())
    fused.getGroupCountMutable().assign(gemm.getGroupCount());
  fused.setGroupSizeAttr(gemm.getGroupSizeAttr());
  StringRef name = getSite(op);
  if (name.empty())
    fused.setValueAttr(gemm.getValueAttr());
  else
    fused.setValue(name);
  Block *block = fused.addEpilogue(builder, extras);

  OpBuilder body = OpBuilder::atBlockEnd(block);
  Value accumulator = block->getArgument(0);
  size_t next = 1;
  if (gemm.hasEpilogue()) {
    Block &old = gemm.getEpilogue().front();
    IRMapping mapping;
    for (BlockArgument argument : old.getArguments())
      mapping.map(argument, block->getArgument(argument.getArgNumber()));
    next = old.getNumArguments();
    for (Operation &nested : old.without_terminator())
      body.clone(nested, mapping);
    accumulator =
        mapping.lookup(cast<prune::YieldOp>(old.getTerminator()).getValue());
  }
  IRMapping mapping;
  for (OpOperand *input : op.getDpsInputOperands())
    mapping.map(op.getMatchingBlockArgument(input),
                input->get() == gemm.getResult() ? accumulator
                                                 : block->getArgument(next++));
  for (Operation &nested : op.getBody()->without_terminator())
    body.clone(nested, mapping);
  prune::YieldOp::create(
      body, op.getLoc(),
      mapping.lookupOrDefault(op.getBody()->getTerminator()->getOperand(0)));

  if (Attribute kept = op->getDiscardableAttr("prune.kept"))
    fused->setDiscardableAttr("prune.kept", kept);
  Value init = op.getDpsInits().front();
  op.getResult(0).replaceAllUsesWith(fused.getResult());
  op.erase();
  gemm.erase();
  if (auto empty = init.getDefiningOp<tensor::EmptyOp>();
      empty && empty->use_empty())
    empty.erase();
}

namespace {
struct PruneFuseEpilogues
    : coppice::impl::PruneFuseEpiloguesBase<PruneFuseEpilogues> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation()->walk([&](linalg::GenericOp op) { ops.push_back(op); });
    for (linalg::GenericOp op : ops) {
      if (!isElementwise(op))
        continue;
      if (prune::GemmOp gemm = findProducer(op)) {
        fuse(op, gemm);
        ++fused;
      }
    }
  }
};
} // namespace
