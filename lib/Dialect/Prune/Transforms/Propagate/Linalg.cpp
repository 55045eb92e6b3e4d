// linalg ops: S moves up along a parallel loop, and with it every operand that
// the loop runs along; E moves down where zeros stay zeros.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "Rules.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;

/// For each operand of `op` the axes that the loop `dim` runs along. Nothing if
/// the op uses the loop in another way (computed subscripts, linalg.index) or
/// if it is not parallel: then no set of it can be left out.
static std::optional<SmallVector<SmallVector<int64_t, 1>>>
findAxesOfLoop(linalg::LinalgOp op, unsigned dim) {
  if (!op.hasPureTensorSemantics() ||
      op.getIteratorTypesArray()[dim] != utils::IteratorType::parallel)
    return std::nullopt;
  WalkResult indices = op->walk([&](linalg::IndexOp index) {
    return index.getDim() == dim ? WalkResult::interrupt()
                                 : WalkResult::advance();
  });
  if (indices.wasInterrupted())
    return std::nullopt;
  SmallVector<SmallVector<int64_t, 1>> axes;
  for (OpOperand &operand : op->getOpOperands()) {
    auto &mine = axes.emplace_back();
    for (auto [axis, expr] :
         llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
      if (!expr.isFunctionOfDim(dim))
        continue;
      if (!isa<AffineDimExpr>(expr))
        return std::nullopt;
      mine.push_back(axis);
    }
  }
  // Each result must have the loop as exactly one axis: else it is not indexed
  // by it alone.
  for (OpOperand &init : op.getDpsInitsMutable())
    if (axes[init.getOperandNumber()].size() != 1)
      return std::nullopt;
  return axes;
}

/// The loop that runs along an axis of an operand; nothing if it is computed.
static std::optional<unsigned>
findLoopOfAxis(linalg::LinalgOp op, OpOperand &operand, int64_t axis) {
  auto expr = dyn_cast<AffineDimExpr>(
      op.getMatchingIndexingMap(&operand).getResult(axis));
  return expr ? std::optional<unsigned>(expr.getPosition()) : std::nullopt;
}

/// `op` with the loop behind `axes` cut down to `set`.
static Operation *narrowLoop(PatternRewriter &rewriter, linalg::LinalgOp op,
                             ArrayRef<SmallVector<int64_t, 1>> axes,
                             SetAttr set) {
  SmallVector<Value> operands;
  for (OpOperand &operand : op->getOpOperands()) {
    Value value = operand.get();
    for (int64_t axis : axes[operand.getOperandNumber()])
      value = restrict(rewriter, op.getLoc(), value, axis, set);
    operands.push_back(value);
  }
  SmallVector<Type> types;
  for (OpOperand &init : op.getDpsInitsMutable())
    types.push_back(operands[init.getOperandNumber()].getType());
  Operation *narrow = cloneWith(rewriter, op, types, operands);
  // `prune.kept` speaks of the op's value: one result, or all alike.
  int64_t axis = axes[op.getDpsInitsMutable()[0].getOperandNumber()].front();
  narrowKept(narrow, axis, set);
  return narrow;
}

namespace {
struct RestrictUpLinalg : OpInterfaceRewritePattern<linalg::LinalgOp> {
  RestrictUpLinalg(MLIRContext *context, Counts &counts)
      : OpInterfaceRewritePattern(context), counts(counts) {}

  LogicalResult matchAndRewrite(linalg::LinalgOp op,
                                PatternRewriter &rewriter) const override {
    RestrictOp first = findRestriction(op);
    if (!first || first.getKeep().isEmpty())
      return rewriter.notifyMatchFailure(op, "no result is restricted");
    OpResult result = cast<OpResult>(first.getInput());
    std::optional<unsigned> dim = findLoopOfAxis(
        op, *op.getDpsInitOperand(result.getResultNumber()), first.getAxis());
    auto axes = dim ? findAxesOfLoop(op, *dim) : std::nullopt;
    if (!axes)
      return rewriter.notifyMatchFailure(
          op, "the restricted axis is not a parallel loop of its own");
    SmallVector<SharedRestriction> shared;
    for (OpResult other : op->getResults()) {
      int64_t axis = (*axes)[op.getDpsInitOperand(other.getResultNumber())
                                 ->getOperandNumber()]
                         .front();
      std::optional<SharedRestriction> mine =
          findShared(other, axis, first.getKeep());
      if (!mine)
        return rewriter.notifyMatchFailure(
            op, "not all users restrict the results in the same way");
      shared.push_back(std::move(*mine));
    }
    Operation *narrow = narrowLoop(rewriter, op, *axes, first.getKeep());
    for (auto [mine, value] : llvm::zip_equal(shared, narrow->getResults()))
      replaceShared(rewriter, mine, value);
    rewriter.eraseOp(op);
    ++counts.restrictsMoved;
    return success();
  }

private:
  static RestrictOp findRestriction(linalg::LinalgOp op) {
    for (Operation *user : op->getUsers())
      if (auto restrict = dyn_cast<RestrictOp>(user))
        return restrict;
    return {};
  }
  Counts &counts;
};

/// Which scalars of an op's body are zero, given that some arguments are.
class ZeroAnalysis {
public:
  ZeroAnalysis(Block &body, const llvm::SmallDenseSet<Value> &zeros)
      : zeros(zeros) {
    for (Operation &op : body.without_terminator())
      if (op.getNumResults() == 1 && mapsToZero(op))
        this->zeros.insert(op.getResult(0));
  }
  bool isZero(Value value) const {
    return zeros.contains(value) || matchPattern(value, m_AnyZeroFloat());
  }

private:
  bool allZero(ValueRange values) const {
    return llvm::all_of(values, [&](Value value) { return isZero(value); });
  }
  bool mapsToZero(Operation &op) const {
    // A projection is a select, so a product with what is gone is nothing, be
    // the other factor Inf or NaN.
    if (isa<arith::MulFOp>(op))
      return isZero(op.getOperand(0)) || isZero(op.getOperand(1));
    if (auto quotient = dyn_cast<arith::DivFOp>(op))
      return isZero(quotient.getLhs()) && isPositive(quotient.getRhs());
    if (auto product = dyn_cast<math::FmaOp>(op))
      return (isZero(product.getA()) || isZero(product.getB())) &&
             isZero(product.getC());
    if (auto select = dyn_cast<arith::SelectOp>(op))
      return isZero(select.getTrueValue()) && isZero(select.getFalseValue());
    return isa<arith::AddFOp, arith::SubFOp, arith::NegFOp, arith::ExtFOp,
               arith::TruncFOp, arith::MaximumFOp, arith::MinimumFOp,
               arith::MaxNumFOp, arith::MinNumFOp, math::AbsFOp, math::SqrtOp,
               math::TanhOp, math::ErfOp, math::SinOp>(op) &&
           allZero(op.getOperands());
  }
  /// Certainly above zero, as 1 + exp(x) is.
  static bool isPositive(Value value) {
    APFloat constant(0.0f);
    if (matchPattern(value, m_ConstantFloat(&constant)))
      return !constant.isNegative() && !constant.isZero() && !constant.isNaN();
    auto sum = value.getDefiningOp<arith::AddFOp>();
    return sum && ((isPositive(sum.getLhs()) && isNotNegative(sum.getRhs())) ||
                   (isNotNegative(sum.getLhs()) && isPositive(sum.getRhs())));
  }
  static bool isNotNegative(Value value) {
    return isPositive(value) || value.getDefiningOp<math::ExpOp>() ||
           value.getDefiningOp<math::AbsFOp>();
  }

  llvm::SmallDenseSet<Value> zeros;
};

/// f(E x, y) = E f(x, S y) if f(0, y) = 0, and the union of the sets where only
/// f(0, 0) = 0.
struct ExtendDownLinalg : OpInterfaceRewritePattern<linalg::LinalgOp> {
  ExtendDownLinalg(MLIRContext *context, Counts &counts)
      : OpInterfaceRewritePattern(context), counts(counts) {}

  LogicalResult matchAndRewrite(linalg::LinalgOp op,
                                PatternRewriter &rewriter) const override {
    for (OpOperand *input : op.getDpsInputOperands()) {
      auto extend = input->get().getDefiningOp<ExtendOp>();
      if (!extend || extend.getKeep().hasDynamicCount())
        continue;
      std::optional<unsigned> dim =
          findLoopOfAxis(op, *input, extend.getAxis());
      auto axes = dim ? findAxesOfLoop(op, *dim) : std::nullopt;
      SetAttr set = axes ? findSet(op, *axes) : SetAttr();
      if (!set || set.isFull() || set.isEmpty())
        continue;
      Operation *narrow = narrowLoop(rewriter, op, *axes, set);
      SmallVector<Value> dense;
      for (auto [init, value] :
           llvm::zip_equal(op.getDpsInitsMutable(), narrow->getResults()))
        dense.push_back(
            ExtendOp::create(rewriter, op.getLoc(), value,
                             (*axes)[init.getOperandNumber()].front(), set));
      rewriter.replaceOp(op, dense);
      ++counts.extendsMoved;
      return success();
    }
    return rewriter.notifyMatchFailure(
        op, "no extended operand makes the results zero");
  }

private:
  /// The indices of the loop outside of which all results are zero: the
  /// intersection over operands that alone make them so, else the union over
  /// all extended operands together; null if not even that.
  static SetAttr findSet(linalg::LinalgOp op,
                         ArrayRef<SmallVector<int64_t, 1>> axes) {
    llvm::SmallDenseSet<Value> extended;
    SetAttr alone, together;
    for (OpOperand *input : op.getDpsInputOperands()) {
      auto extend = input->get().getDefiningOp<ExtendOp>();
      ArrayRef<int64_t> mine = axes[input->getOperandNumber()];
      if (!extend || mine.size() != 1 ||
          mine.front() != static_cast<int64_t>(extend.getAxis()) ||
          extend.getKeep().hasDynamicCount())
        continue;
      Value argument = op.getMatchingBlockArgument(input);
      extended.insert(argument);
      SetAttr set = extend.getKeep();
      together = together ? together.unite(set) : set;
      if (yieldsZero(op, {argument}))
        alone = alone ? alone.intersect(set) : set;
    }
    if (alone)
      return alone;
    return !extended.empty() && yieldsZero(op, extended) ? together : SetAttr();
  }

  static bool yieldsZero(linalg::LinalgOp op,
                         const llvm::SmallDenseSet<Value> &zeros) {
    Block &body = *op.getBlock();
    ZeroAnalysis analysis(body, zeros);
    return llvm::all_of(body.getTerminator()->getOperands(),
                        [&](Value value) { return analysis.isZero(value); });
  }

  Counts &counts;
};
} // namespace

void propagate::addLinalgRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<RestrictUpLinalg, ExtendDownLinalg>(rules.getContext(), counts);
}
