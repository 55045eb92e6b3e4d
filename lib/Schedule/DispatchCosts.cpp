//===- DispatchCosts.cpp - FLOPs and bytes of an op, as expressions -------===//
// Units: FLOP, a multiply-add being 2; bytes, each counted once, as if caches
// were perfect (Williams et al., "Roofline", CACM 2009). Attention depends on
// the lengths of the step's sequences: `attended` query-key pairs to compute,
// `cached` tokens to read; of a window, those that are in it. Lists of blocks
// count as a window of as many positions: each row attends to no fewer. (What
// rows of one tile want together is more, which is for predictions to say.)
//===----------------------------------------------------------------------===//
#include "DispatchCosts.h"

#include "coppice/Analysis/Work.h"
#include "coppice/Codegen/CPU/PatternLayout.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace coppice;
using exec::Symbol;

exec::Kind coppice::getDispatchKind(Operation *op) {
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    return linalgOp.getNumParallelLoops() == linalgOp.getNumLoops()
               ? exec::Kind::Elementwise
               : exec::Kind::Other;
  return llvm::TypeSwitch<Operation *, exec::Kind>(op)
      .Case([](prune::GemmOp) { return exec::Kind::Gemm; })
      .Case([](prune::GatherOp) { return exec::Kind::Elementwise; })
      .Case([](prune::DecideOp) { return exec::Kind::Route; })
      .Case([](prune::CompactOp) { return exec::Kind::Compact; })
      .Case([](prune::ProjectByOp) { return exec::Kind::Elementwise; })
      .Case([](decoder::LookupOp) { return exec::Kind::Lookup; })
      .Case([](decoder::RMSNormOp) { return exec::Kind::Norm; })
      .Case([](decoder::RotaryTableOp) { return exec::Kind::RotaryTable; })
      .Case([](decoder::RotaryOp) { return exec::Kind::Rotary; })
      .Case([](decoder::AppendOp) { return exec::Kind::Append; })
      .Case([](decoder::AttentionOp) { return exec::Kind::Attention; })
      .Default([](Operation *) { return exec::Kind::Other; });
}

/// Arithmetic on floats in a region, once through. A transcendental counts as
/// one: what it takes is for the machine description to say.
static int64_t countArithmetic(Region &region) {
  int64_t count = 0;
  region.walk([&](Operation *op) {
    bool conversion =
        isa<arith::ExtFOp, arith::TruncFOp, arith::ConstantOp>(op);
    if (!conversion &&
        isa<arith::ArithDialect, math::MathDialect>(op->getDialect()) &&
        op->getNumResults() == 1 && isa<FloatType>(op->getResult(0).getType()))
      ++count;
  });
  return count;
}

/// The number of points of a linalg op's iteration space.
static AffineExpr countIterations(linalg::LinalgOp op,
                                  function_ref<ArrayAttr(Value)> extents) {
  SmallVector<AffineExpr> loops(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (auto [axis, expr] : llvm::enumerate(map.getResults())) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim || loops[dim.getPosition()])
        continue;
      if (ArrayAttr shape = extents(operand.get()))
        loops[dim.getPosition()] = exec::getExtentExpr(shape[axis]);
    }
  }
  AffineExpr count = getAffineConstantExpr(1, op.getContext());
  for (AffineExpr loop : loops)
    if (loop)
      count = loop * count;
  return count;
}

static AffineExpr getFlops(Operation *op,
                           function_ref<ArrayAttr(Value)> extents) {
  MLIRContext *context = op->getContext();
  auto elements = [&](Value value) {
    return exec::getElementCount(extents(value));
  };
  AffineExpr zero = getAffineConstantExpr(0, context);
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    return countIterations(linalgOp, extents) *
           countArithmetic(linalgOp->getRegion(0));
  return llvm::TypeSwitch<Operation *, AffineExpr>(op)
      .Case([&](prune::GemmOp gemm) {
        int64_t k = gemm.getInput().getType().getDimSize(1);
        if (auto layout = cpu::getPatternLayout(gemm))
          k = llvm::divideCeil(k * layout->keptOfGroup(), layout->groupSize());
        return elements(gemm.getResult()) *
               (2 * k + countArithmetic(gemm.getEpilogue()));
      })
      // x^2 summed (2), scaled (1), times the gain (1)
      .Case([&](decoder::RMSNormOp norm) {
        return elements(norm.getResult()) * 4;
      })
      // an angle (1) and its cosine or sine (1)
      .Case([&](decoder::RotaryTableOp table) {
        return elements(table.getResult()) * 2;
      })
      // two products and a sum
      .Case([&](decoder::RotaryOp rotary) {
        return elements(rotary.getResult()) * 3;
      })
      // a query-key pair: a multiply-add per column for the score and one for
      // the value; per head scale, maximum, difference, exponential and sum.
      // Of pairs that may be dropped the score, scale and maximum are sure.
      .Case([&](decoder::AttentionOp attention) {
        int64_t width = attention.getQuery().getType().getDimSize(1),
                heads = attention.getQueryHeads();
        return exec::getSymbolExpr(context, Symbol::attended) *
               (attention.getDropBelowAttr() ? 2 * width + 2 * heads
                                             : 4 * width + 5 * heads);
      })
      .Default([&](Operation *) { return zero; });
}

/// bf16 where a product's factors are of 16 bits, bf16 or f16, which go at one
/// rate. A kernel may still widen them; this says what a machine could use at
/// best.
static exec::Arithmetic getArithmetic(Operation *op) {
  auto isNarrow = [](Value value) {
    Type element = getElementTypeOrSelf(value.getType());
    return element.isBF16() || element.isF16();
  };
  bool narrow = false;
  if (auto gemm = dyn_cast<prune::GemmOp>(op))
    narrow = isNarrow(gemm.getInput()) && isNarrow(gemm.getWeight());
  // A query is rounded to the bf16 that the cache holds; f16 is not multiplied
  // everywhere.
  if (auto attention = dyn_cast<decoder::AttentionOp>(op)) {
    Value keys = attention.getKeys();
    narrow = getElementTypeOrSelf(keys).isBF16() ||
             (isNarrow(keys) && isNarrow(attention.getQuery()));
  }
  return narrow ? exec::Arithmetic::BF16 : exec::Arithmetic::F32;
}

/// Bytes that the op touches of one argument: all of it, but for tables and
/// caches, of which it touches rows.
static AffineExpr getTouchedBytes(Operation *op, const CostArgument &argument,
                                  function_ref<ArrayAttr(Value)> extents) {
  int64_t size = exec::getElementBytes(argument.element);
  AffineExpr all = exec::getElementCount(argument.shape) * size;
  if (auto gemm = dyn_cast<prune::GemmOp>(op))
    if (auto layout = cpu::getPatternLayout(gemm);
        layout && argument.value == gemm.getWeight()) {
      // A panel and a step along K at a time, without padding.
      auto type = cast<ShapedType>(argument.value.getType());
      int64_t bytes = layout->stepElements() * size * type.getNumElements() /
                      (layout->panelColumns() * layout->stepColumns());
      return getAffineConstantExpr(bytes, op->getContext());
    }
  if (auto lookup = dyn_cast<decoder::LookupOp>(op))
    if (argument.value == lookup.getTable())
      return exec::getElementCount(extents(lookup.getResult())) * size;
  if (auto attention = dyn_cast<decoder::AttentionOp>(op);
      attention && attention.getDropBelowAttr() &&
      argument.value == attention.getValues())
    return getAffineConstantExpr(0, op->getContext());
  if (auto attention = dyn_cast<decoder::AttentionOp>(op))
    if (argument.value == attention.getKeys() ||
        argument.value == attention.getValues())
      return exec::getSymbolExpr(op->getContext(), Symbol::cached) *
             (attention.getKeys().getType().getDimSize(2) * size);
  // How many keys are scored depends on how many blocks are attended to
  // unasked, and the attention reads some of them again. None are counted, nor
  // FLOPs, so that bounds stay below what can be.
  if (auto select = dyn_cast<prune::SelectBlocksOp>(op))
    if (argument.value && argument.value == select.getKeys())
      return getAffineConstantExpr(0, op->getContext());
  if (auto append = dyn_cast<decoder::AppendOp>(op))
    if (argument.isWritten)
      return exec::getElementCount(extents(append.getRows())) * size;
  return all;
}

exec::CostAttr
coppice::getDispatchCost(Operation *op, ArrayRef<CostArgument> arguments,
                         function_ref<ArrayAttr(Value)> extents) {
  AffineExpr zero = getAffineConstantExpr(0, op->getContext());
  AffineExpr weights = zero, reads = zero, writes = zero;
  for (const CostArgument &argument : arguments) {
    AffineExpr bytes = getTouchedBytes(op, argument, extents);
    if (argument.isWeight)
      weights = weights + bytes;
    else if (argument.isRead)
      reads = reads + bytes;
    if (argument.isWritten)
      writes = writes + bytes;
  }
  int64_t window = 0;
  if (auto attention = dyn_cast<decoder::AttentionOp>(op))
    window = getAttendedPositions(attention);
  if (auto select = dyn_cast<prune::SelectBlocksOp>(op))
    window = static_cast<int64_t>(select.getWindow().value_or(0));
  int64_t executed = 1;
  if (auto gemm = dyn_cast<prune::GemmOp>(op))
    if (auto layout = cpu::getPatternLayout(gemm))
      executed = layout->groupSize() / layout->keptOfGroup();
  return exec::CostAttr::get(
      op->getContext(), exec::getExprAttr(getFlops(op, extents)),
      exec::getExprAttr(weights), exec::getExprAttr(reads),
      exec::getExprAttr(writes), getArithmetic(op), window, executed);
}
