// Comes in: a dense program with projections. Goes out: the same program with
// narrow shapes.
//
// A projection P = E S is taken apart. Then two kinds of rules run to a fixed
// point: a restriction S moves above the op whose result it restricts, and an
// extension E moves below the op whose operand it extends. Each step moves one
// of them over one op and never back, so this ends. All rules are exact; where
// none applies, S and E stay where they are, as a gather and a scatter.
//
// What S needs to move up: every user of the value restricts it in the same
// way, for the op is rewritten, not copied. (`tensor.dim` of another axis does
// not count as a use.) What E needs to move down: the op maps zeros to zeros.
#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace coppice::prune {
#define GEN_PASS_DEF_PRUNEPROPAGATE
#include "coppice/Dialect/Prune/Transforms/Passes.h.inc"
} // namespace coppice::prune

using namespace coppice;
using namespace coppice::prune;
using namespace coppice::decoder;

namespace {
/// What rules report to the pass, and the one thing that they must know of it.
struct Counts {
  int64_t restrictsMoved = 0, extendsMoved = 0, sublayersRemoved = 0,
          cachesNarrowed = 0, cachesRemoved = 0;
  /// Nothing in the module calls the function, so its arguments may change.
  bool mayChangeSignature = false;
};
} // namespace

//===----------------------------------------------------------------------===//
// Restrictions that all users share
//===----------------------------------------------------------------------===//

namespace {
/// How all users of a value restrict it.
struct SharedRestriction {
  Value value;
  int64_t axis;
  SetAttr set;
  SmallVector<RestrictOp> restricts;
  SmallVector<tensor::DimOp> dims;  // extents of other axes
  SmallVector<OpOperand *> returns; // only where the caller allows them
};
} // namespace

/// Do all users of `value` restrict it along `axis` to `set`? With
/// `allowReturns`, users that return it from a function are listed too.
static std::optional<SharedRestriction>
findShared(Value value, int64_t axis, SetAttr set, bool allowReturns = false) {
  SharedRestriction shared{value, axis, set, {}, {}, {}};
  for (OpOperand &use : value.getUses()) {
    if (auto restrict = dyn_cast<RestrictOp>(use.getOwner())) {
      if (static_cast<int64_t>(restrict.getAxis()) != axis ||
          !restrict.getKeep().keepsSameAs(set))
        return std::nullopt;
      shared.restricts.push_back(restrict);
    } else if (auto dim = dyn_cast<tensor::DimOp>(use.getOwner())) {
      std::optional<int64_t> index = dim.getConstantIndex();
      if (!index || *index == axis)
        return std::nullopt;
      shared.dims.push_back(dim);
    } else if (allowReturns && isa<func::ReturnOp>(use.getOwner())) {
      shared.returns.push_back(&use);
    } else {
      return std::nullopt;
    }
  }
  return shared;
}

static std::optional<SharedRestriction> findShared(RestrictOp op,
                                                   bool allowReturns = false) {
  return findShared(op.getInput(), op.getAxis(), op.getKeep(), allowReturns);
}

/// Puts the narrow value in the place of its restrictions.
static void replaceShared(PatternRewriter &rewriter,
                          const SharedRestriction &shared, Value narrow) {
  for (tensor::DimOp dim : shared.dims)
    rewriter.modifyOpInPlace(dim,
                             [&] { dim.getSourceMutable().assign(narrow); });
  for (RestrictOp restrict : shared.restricts)
    rewriter.replaceOp(restrict, narrow);
}

static Value restrict(PatternRewriter &rewriter, Location loc, Value value,
                      int64_t axis, SetAttr set) {
  return rewriter.createOrFold<RestrictOp>(loc, value, axis, set);
}

/// `type` with one extent replaced by what is kept.
static RankedTensorType narrowType(Type type, int64_t axis, SetAttr set) {
  auto dense = cast<RankedTensorType>(type);
  SmallVector<int64_t> shape(dense.getShape());
  shape[axis] = set.getKeptExtent();
  return RankedTensorType::get(shape, dense.getElementType(),
                               dense.getEncoding());
}

/// A copy of `op` with other operands and result types.
static Operation *cloneWith(PatternRewriter &rewriter, Operation *op,
                            TypeRange types, ValueRange operands) {
  OperationState state(op->getLoc(), op->getName(), operands, types,
                       op->getAttrs());
  for (Region &region : op->getRegions()) {
    IRMapping mapping;
    region.cloneInto(state.addRegion(), mapping);
  }
  return rewriter.create(state);
}

/// A copy of `op`, which has one result, on narrow operands; its result is
/// recorded to hold `set` of `axis`.
template <typename OpTy>
static OpTy cloneNarrow(PatternRewriter &rewriter, OpTy op, ValueRange operands,
                        int64_t axis, SetAttr set) {
  Type type = narrowType(op->getResult(0).getType(), axis, set);
  Operation *narrow = cloneWith(rewriter, op, type, operands);
  narrowKept(narrow, axis, set);
  return cast<OpTy>(narrow);
}

//===----------------------------------------------------------------------===//
// S moves up
//===----------------------------------------------------------------------===//

namespace {
/// A rule that moves a restriction above the `OpTy` whose result it restricts.
template <typename OpTy> struct RestrictUp : OpRewritePattern<RestrictOp> {
  RestrictUp(MLIRContext *context, Counts &counts)
      : OpRewritePattern(context), counts(counts) {}

  LogicalResult matchAndRewrite(RestrictOp op,
                                PatternRewriter &rewriter) const override {
    auto below = op.getInput().getDefiningOp<OpTy>();
    if (!below)
      return failure();
    // Nothing of a dimension is never a narrower tensor: ops need one column.
    if (op.getKeep().isEmpty())
      return rewriter.notifyMatchFailure(op, "an empty set does not move");
    rewriter.setInsertionPoint(below);
    if (failed(moveUp(op, below, rewriter)))
      return failure();
    ++counts.restrictsMoved;
    return success();
  }

protected:
  virtual LogicalResult moveUp(RestrictOp op, OpTy below,
                               PatternRewriter &rewriter) const = 0;

  /// For ops with one result: replaces `below` by a narrow copy, where its
  /// users agree.
  template <typename OperandsFn>
  LogicalResult moveUpShared(RestrictOp op, OpTy below,
                             PatternRewriter &rewriter,
                             OperandsFn makeOperands) const {
    std::optional<SharedRestriction> shared = findShared(op);
    if (!shared)
      return rewriter.notifyMatchFailure(
          op, "not all users restrict the value in the same way");
    int64_t axis = op.getAxis();
    SetAttr set = op.getKeep();
    SmallVector<Value> operands = makeOperands();
    auto narrow = cloneNarrow(rewriter, below, operands, axis, set);
    replaceShared(rewriter, *shared, narrow->getResult(0));
    if (below->use_empty())
      rewriter.eraseOp(below);
    return success();
  }

  Counts &counts;
};

/// S_N (A W^T) = A (S W)^T and S_M (A W^T) = (S A) W^T; what the epilogue reads
/// follows.
struct RestrictUpGemm : RestrictUp<GemmOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, GemmOp gemm,
                       PatternRewriter &rewriter) const override {
    Location loc = gemm.getLoc();
    int64_t axis = op.getAxis();
    SetAttr set = op.getKeep();
    return moveUpShared(op, gemm, rewriter, [&] {
      SmallVector<Value> operands(gemm->getOperands());
      Value &followed = operands[axis == 0 ? 0 : 1];
      followed = restrict(rewriter, loc, followed, 0, set);
      for (Value &extra : llvm::MutableArrayRef(operands).drop_front(2)) {
        bool isVector = cast<RankedTensorType>(extra.getType()).getRank() == 1;
        if (!isVector)
          extra = restrict(rewriter, loc, extra, axis, set);
        else if (axis == 1)
          extra = restrict(rewriter, loc, extra, 0, set);
      }
      return operands;
    });
  }
};

/// Heads: as many query heads in each KV head that is left, so that query heads
/// still find theirs. Rows: queries with their slots and positions.
struct RestrictUpAttention : RestrictUp<AttentionOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, AttentionOp attention,
                       PatternRewriter &rewriter) const override {
    Location loc = attention.getLoc();
    SetAttr set = op.getKeep();
    SmallVector<Value> operands(attention->getOperands());
    if (op.getAxis() == 0)
      return moveUpShared(op, attention, rewriter, [&] {
        for (unsigned i : {0, 3, 4}) // query, slots, positions
          operands[i] = restrict(rewriter, loc, operands[i], 0, set);
        return operands;
      });
    SetAttr kvHeads = findKVHeads(attention, set);
    if (!kvHeads)
      return rewriter.notifyMatchFailure(op,
                                         "the set does not keep whole heads, "
                                         "equally many in each KV head left");
    return moveUpShared(op, attention, rewriter, [&] {
      operands[0] = restrict(rewriter, loc, operands[0], 1, set);
      for (unsigned i : {1, 2}) // keys, values
        operands[i] = restrict(rewriter, loc, operands[i], 2, kvHeads);
      return operands;
    });
  }

private:
  /// The KV heads, as columns of the caches, that the query columns `set` need.
  static SetAttr findKVHeads(AttentionOp attention, SetAttr set) {
    int64_t headDim = attention.getHeadDim(),
            group = attention.getQueryHeads() / attention.getKvHeads();
    SetAttr heads = set.coarsen(headDim);
    if (!heads)
      return {};
    SmallVector<int64_t> kvHeads, sizes; // sizes: kept query heads of each
    for (int64_t head : heads.getGranuleIndices()) {
      if (kvHeads.empty() || kvHeads.back() != head / group) {
        kvHeads.push_back(head / group);
        sizes.push_back(0);
      }
      ++sizes.back();
    }
    if (!llvm::all_equal(sizes))
      return {};
    return SetAttr::fromIndices(set.getContext(), kvHeads,
                                attention.getKvHeads(), headDim);
  }
};

/// Rows with their angles; columns by whole heads.
struct RestrictUpRotary : RestrictUp<RotaryOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, RotaryOp rotary,
                       PatternRewriter &rewriter) const override {
    int64_t axis = op.getAxis();
    if (axis == 1 && !op.getKeep().coarsen(rotary.getHeadDim()))
      return rewriter.notifyMatchFailure(op,
                                         "the set does not keep whole heads");
    return moveUpShared(op, rotary, rewriter, [&] {
      SmallVector<Value> operands(rotary->getOperands());
      operands[0] =
          restrict(rewriter, rotary.getLoc(), operands[0], axis, op.getKeep());
      if (axis == 0)
        operands[1] =
            restrict(rewriter, rotary.getLoc(), operands[1], 0, op.getKeep());
      return operands;
    });
  }
};

/// Rows only: a column of the result depends on all columns of the input.
struct RestrictUpNorm : RestrictUp<RMSNormOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, RMSNormOp norm,
                       PatternRewriter &rewriter) const override {
    if (op.getAxis() != 0)
      return rewriter.notifyMatchFailure(op, "a norm needs all columns");
    return moveUpShared(op, norm, rewriter, [&] {
      SmallVector<Value> operands(norm->getOperands());
      operands[0] =
          restrict(rewriter, norm.getLoc(), operands[0], 0, op.getKeep());
      return operands;
    });
  }
};

/// Columns are the table's, rows the indices'.
struct RestrictUpLookup : RestrictUp<LookupOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, LookupOp lookup,
                       PatternRewriter &rewriter) const override {
    int64_t axis = op.getAxis();
    return moveUpShared(op, lookup, rewriter, [&] {
      SmallVector<Value> operands(lookup->getOperands());
      operands[axis] = restrict(rewriter, lookup.getLoc(), operands[axis], axis,
                                op.getKeep());
      return operands;
    });
  }
};

/// Columns: what is appended and the cache. A cache that is the function's own
/// state, an argument whose update is returned, becomes narrower as a whole.
struct RestrictUpAppend : RestrictUp<AppendOp> {
  using RestrictUp::RestrictUp;
  LogicalResult moveUp(RestrictOp op, AppendOp append,
                       PatternRewriter &rewriter) const override {
    if (op.getAxis() != 2)
      return rewriter.notifyMatchFailure(op,
                                         "only columns of a cache are pruned");
    std::optional<SharedRestriction> shared =
        findShared(op, /*allowReturns=*/true);
    if (!shared)
      return rewriter.notifyMatchFailure(
          op, "not all users restrict the cache in the same way");
    SetAttr set = op.getKeep();
    SmallVector<Value> operands(append->getOperands());
    if (!shared->returns.empty()) {
      auto state = findState(append, *shared);
      if (!state)
        return rewriter.notifyMatchFailure(
            op, "the returned cache is not the state of a step");
      narrowState(rewriter, state, set);
    } else {
      operands[1] = restrict(rewriter, append.getLoc(), operands[1], 2, set);
    }
    operands[0] = restrict(rewriter, append.getLoc(), operands[0], 1, set);
    auto narrow = cloneNarrow(rewriter, append, operands, 2, set);
    replaceShared(rewriter, *shared, narrow.getResult());
    for (OpOperand *use : shared->returns)
      rewriter.modifyOpInPlace(use->getOwner(),
                               [&] { use->set(narrow.getResult()); });
    if (!shared->returns.empty())
      updateFunctionType(rewriter, cast<func::FuncOp>(narrow->getParentOp()));
    rewriter.eraseOp(append);
    return success();
  }

  /// Makes a function's type agree with its arguments and its return.
  static void updateFunctionType(RewriterBase &rewriter,
                                 func::FuncOp function) {
    Block &entry = function.getBody().front();
    auto type =
        FunctionType::get(function.getContext(), entry.getArgumentTypes(),
                          entry.getTerminator()->getOperandTypes());
    rewriter.modifyOpInPlace(function, [&] { function.setFunctionType(type); });
  }

private:
  /// The cache argument that `append` updates, if the step returns it once and
  /// nothing else uses it; null else.
  BlockArgument findState(AppendOp append,
                          const SharedRestriction &shared) const {
    if (!counts.mayChangeSignature)
      return {};
    auto argument = dyn_cast<BlockArgument>(append.getCache());
    auto function = dyn_cast<func::FuncOp>(append->getParentOp());
    if (!argument || !function || !argument.hasOneUse() ||
        shared.returns.size() != 1 || !function.getBody().hasOneBlock())
      return {};
    bool isCache =
        !!function.getArgAttr(argument.getArgNumber(), kCacheAttrName);
    return isCache ? argument : BlockArgument();
  }

  void narrowState(PatternRewriter &rewriter, BlockArgument state,
                   SetAttr set) const {
    auto function = cast<func::FuncOp>(state.getOwner()->getParentOp());
    Attribute kept =
        function.getArgAttr(state.getArgNumber(), PruneDialect::keptAttrName);
    rewriter.modifyOpInPlace(function, [&] {
      state.setType(narrowType(state.getType(), 2, set));
      function.setArgAttr(state.getArgNumber(), PruneDialect::keptAttrName,
                          composeKept(function.getContext(), kept, 2, set));
    });
    ++counts.cachesNarrowed;
  }
};

/// A tensor without contents: each user may have its own.
struct RestrictUpEmpty : OpRewritePattern<RestrictOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RestrictOp op,
                                PatternRewriter &rewriter) const override {
    auto empty = op.getInput().getDefiningOp<tensor::EmptyOp>();
    if (!empty)
      return failure();
    SmallVector<OpFoldResult> sizes = empty.getMixedSizes();
    sizes[op.getAxis()] = rewriter.getIndexAttr(op.getKeep().getKeptExtent());
    rewriter.replaceOpWithNewOp<tensor::EmptyOp>(op, sizes,
                                                 op.getType().getElementType());
    return success();
  }
};

/// S_i E_j = E_j S_i on other axes.
struct RestrictAboveExtend : OpRewritePattern<RestrictOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RestrictOp op,
                                PatternRewriter &rewriter) const override {
    auto extend = op.getInput().getDefiningOp<ExtendOp>();
    if (!extend || extend.getAxis() == op.getAxis() || extend.getExtent())
      return failure();
    Value source = restrict(rewriter, op.getLoc(), extend.getInput(),
                            op.getAxis(), op.getKeep());
    rewriter.replaceOpWithNewOp<ExtendOp>(op, source, extend.getAxis(),
                                          extend.getKeep());
    return success();
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// Structured ops: S up along a parallel loop, E down where zeros stay zeros
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// E moves down
//===----------------------------------------------------------------------===//

namespace {
/// (E_K A) W^T = A (S_K W)^T, and (E_M A) W^T = E_M (A W^T) without an
/// epilogue.
struct ExtendDownGemm : OpRewritePattern<GemmOp> {
  ExtendDownGemm(MLIRContext *context, Counts &counts)
      : OpRewritePattern(context), counts(counts) {}

  LogicalResult matchAndRewrite(GemmOp gemm,
                                PatternRewriter &rewriter) const override {
    auto extend = gemm.getInput().getDefiningOp<ExtendOp>();
    if (!extend || extend.getKeep().hasDynamicCount() ||
        extend.getKeep().isEmpty())
      return rewriter.notifyMatchFailure(gemm, "the input is not extended");
    SetAttr set = extend.getKeep();
    if (extend.getAxis() == 1) {
      Value weight =
          restrict(rewriter, gemm.getLoc(), gemm.getWeight(), 1, set);
      rewriter.modifyOpInPlace(gemm, [&] {
        gemm.getInputMutable().assign(extend.getInput());
        gemm.getWeightMutable().assign(weight);
      });
    } else {
      if (gemm.hasEpilogue())
        return rewriter.notifyMatchFailure(
            gemm, "an epilogue may turn zeros into something else");
      auto narrow = cloneNarrow(rewriter, gemm,
                                {extend.getInput(), gemm.getWeight()}, 0, set);
      rewriter.replaceOpWithNewOp<ExtendOp>(gemm, narrow.getResult(), 0, set);
    }
    ++counts.extendsMoved;
    return success();
  }

private:
  Counts &counts;
};

/// rms_norm(E x, g) = E rms_norm(x, S g): the divisor is an attribute and
/// stays.
struct ExtendDownNorm : OpRewritePattern<RMSNormOp> {
  ExtendDownNorm(MLIRContext *context, Counts &counts)
      : OpRewritePattern(context), counts(counts) {}

  LogicalResult matchAndRewrite(RMSNormOp norm,
                                PatternRewriter &rewriter) const override {
    auto extend = norm.getInput().getDefiningOp<ExtendOp>();
    if (!extend || extend.getKeep().hasDynamicCount() ||
        extend.getKeep().isEmpty())
      return rewriter.notifyMatchFailure(norm, "the input is not extended");
    int64_t axis = extend.getAxis();
    SetAttr set = extend.getKeep();
    Value gain = axis == 1
                     ? restrict(rewriter, norm.getLoc(), norm.getGain(), 0, set)
                     : norm.getGain();
    auto narrow =
        cloneNarrow(rewriter, norm, {extend.getInput(), gain}, axis, set);
    rewriter.replaceOpWithNewOp<ExtendOp>(norm, narrow.getResult(), axis, set);
    ++counts.extendsMoved;
    return success();
  }

private:
  Counts &counts;
};

/// rotary(E x) = E rotary(x): rows with their angles, columns by whole heads.
struct ExtendDownRotary : OpRewritePattern<RotaryOp> {
  ExtendDownRotary(MLIRContext *context, Counts &counts)
      : OpRewritePattern(context), counts(counts) {}

  LogicalResult matchAndRewrite(RotaryOp rotary,
                                PatternRewriter &rewriter) const override {
    auto extend = rotary.getInput().getDefiningOp<ExtendOp>();
    if (!extend || extend.getKeep().hasDynamicCount() ||
        extend.getKeep().isEmpty())
      return rewriter.notifyMatchFailure(rotary, "the input is not extended");
    int64_t axis = extend.getAxis();
    SetAttr set = extend.getKeep();
    if (axis == 1 && !set.coarsen(rotary.getHeadDim()))
      return rewriter.notifyMatchFailure(rotary,
                                         "the set does not keep whole heads");
    Value angles = axis == 0 ? restrict(rewriter, rotary.getLoc(),
                                        rotary.getAngles(), 0, set)
                             : Value(rotary.getAngles());
    auto narrow =
        cloneNarrow(rewriter, rotary, {extend.getInput(), angles}, axis, set);
    rewriter.replaceOpWithNewOp<ExtendOp>(rotary, narrow.getResult(), axis,
                                          set);
    ++counts.extendsMoved;
    return success();
  }

private:
  Counts &counts;
};

//===----------------------------------------------------------------------===//
// Projections
//===----------------------------------------------------------------------===//

/// P = E S, where something is kept.
struct SplitProject : OpRewritePattern<ProjectOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ProjectOp op,
                                PatternRewriter &rewriter) const override {
    SetAttr set = op.getKeep();
    if (set.isEmpty())
      return rewriter.notifyMatchFailure(
          op, "a projection to nothing is a zero, which is left to its users");
    if (set.isFull()) {
      rewriter.replaceOp(op, op.getInput());
      return success();
    }
    Value narrow =
        restrict(rewriter, op.getLoc(), op.getInput(), op.getAxis(), set);
    auto dense =
        ExtendOp::create(rewriter, op.getLoc(), narrow, op.getAxis(), set);
    if (dense.getType() == op.getType()) {
      rewriter.replaceOp(op, dense);
      return success();
    }
    // The type knew less than the set: the extent was dynamic.
    rewriter.replaceOpWithNewOp<tensor::CastOp>(op, op.getType(), dense);
    return success();
  }
};

/// r + P_none(y) = r.
struct DropAdditionOfNothing : OpRewritePattern<linalg::GenericOp> {
  DropAdditionOfNothing(MLIRContext *context, Counts &counts)
      : OpRewritePattern(context), counts(counts) {}

  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getNumDpsInputs() != 2 || op.getNumResults() != 1 ||
        op.getNumParallelLoops() != op.getNumLoops() ||
        !llvm::all_of(op.getIndexingMapsArray(),
                      [](AffineMap map) { return map.isIdentity(); }))
      return rewriter.notifyMatchFailure(
          op, "not an element-wise op of two operands");
    for (OpOperand *input : op.getDpsInputOperands()) {
      auto project = input->get().getDefiningOp<ProjectOp>();
      if (!project || !project.getKeep().isEmpty())
        continue;
      Value other = op.getDpsInputOperand(1 - input->getOperandNumber())->get();
      if (!addsArguments(op) || other.getType() != op.getResult(0).getType())
        return rewriter.notifyMatchFailure(op, "not an addition");
      rewriter.replaceOp(op, other);
      ++counts.sublayersRemoved;
      return success();
    }
    return rewriter.notifyMatchFailure(op,
                                       "no operand is projected to nothing");
  }

private:
  static bool addsArguments(linalg::GenericOp op) {
    Block &body = *op.getBody();
    auto sum =
        body.getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
    if (!sum || sum->getBlock() != &body)
      return false;
    Value a = body.getArgument(0), b = body.getArgument(1);
    return (sum.getLhs() == a && sum.getRhs() == b) ||
           (sum.getLhs() == b && sum.getRhs() == a);
  }
  Counts &counts;
};

/// An extent of a projection is one of its input, where the axis is another.
struct DimOfProjection : OpRewritePattern<tensor::DimOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::DimOp dim,
                                PatternRewriter &rewriter) const override {
    Operation *source = dim.getSource().getDefiningOp();
    std::optional<int64_t> index = dim.getConstantIndex();
    if (!index || !isa_and_nonnull<ProjectOp, RestrictOp, ExtendOp>(source))
      return failure();
    auto axis = source->getAttrOfType<IntegerAttr>("axis").getInt();
    if (axis == *index && !isa<ProjectOp>(source))
      return failure();
    rewriter.modifyOpInPlace(
        dim, [&] { dim.getSourceMutable().assign(source->getOperand(0)); });
    return success();
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// What is dead
//===----------------------------------------------------------------------===//

/// Erases ops that have no effect and no user, users first.
static void eraseDead(func::FuncOp function) {
  for (Block &block : function.getBody())
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (isOpTriviallyDead(&op))
        op.erase();
}

/// Removes caches that a step only writes: no attention reads them any more.
/// Whoever calls the function from outside finds its state by name.
static void removeDeadCaches(func::FuncOp function, Counts &counts) {
  Block &entry = function.getBody().front();
  auto terminator = cast<func::ReturnOp>(entry.getTerminator());
  BitVector deadArguments(entry.getNumArguments()),
      deadResults(terminator.getNumOperands());
  for (BlockArgument argument : entry.getArguments()) {
    if (!function.getArgAttr(argument.getArgNumber(), kCacheAttrName) ||
        !argument.hasOneUse())
      continue;
    auto append = dyn_cast<AppendOp>(*argument.user_begin());
    if (!append || append.getCache() != argument || !append->hasOneUse())
      continue;
    OpOperand &use = *append->use_begin();
    if (use.getOwner() != terminator)
      continue;
    deadArguments.set(argument.getArgNumber());
    deadResults.set(use.getOperandNumber());
  }
  if (deadArguments.none())
    return;
  counts.cachesRemoved += deadArguments.count();
  SmallVector<Operation *> appends;
  for (unsigned i : deadArguments.set_bits())
    appends.push_back(*entry.getArgument(i).user_begin());
  terminator->eraseOperands(deadResults);
  for (Operation *append : appends)
    append->erase();
  (void)function.eraseArguments(deadArguments);
  (void)function.eraseResults(deadResults);
}

namespace {
struct PrunePropagatePass
    : coppice::prune::impl::PrunePropagateBase<PrunePropagatePass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTableCollection symbolTables;
    SymbolUserMap users(symbolTables, module);
    Counts counts;
    FrozenRewritePatternSet rules = makeRules(counts);
    GreedyRewriteConfig config;
    // Folding would hoist the constants of op bodies out of them; rules fold
    // what they create.
    config.setMaxIterations(GreedyRewriteConfig::kNoLimit)
        .enableFolding(false)
        .enableConstantCSE(false)
        .setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
    for (auto function : llvm::to_vector(module.getOps<func::FuncOp>())) {
      if (function.isExternal())
        continue;
      counts.mayChangeSignature =
          function.getBody().hasOneBlock() && users.useEmpty(function);
      if (failed(applyPatternsGreedily(function, rules, config))) {
        function.emitError() << "projections do not settle";
        return signalPassFailure();
      }
      eraseDead(function);
      if (counts.mayChangeSignature) {
        removeDeadCaches(function, counts);
        eraseDead(function);
      }
    }
    report(module, counts);
  }

private:
  FrozenRewritePatternSet makeRules(Counts &counts) {
    RewritePatternSet rules(&getContext());
    rules.add<RestrictUpGemm, RestrictUpAttention, RestrictUpRotary,
              RestrictUpNorm, RestrictUpLookup, RestrictUpAppend,
              RestrictUpLinalg, ExtendDownLinalg, ExtendDownGemm,
              ExtendDownNorm, ExtendDownRotary, DropAdditionOfNothing>(
        &getContext(), counts);
    rules.add<RestrictUpEmpty, RestrictAboveExtend, SplitProject,
              DimOfProjection>(&getContext());
    ProjectOp::getCanonicalizationPatterns(rules, &getContext());
    RestrictOp::getCanonicalizationPatterns(rules, &getContext());
    return rules;
  }

  void report(ModuleOp module, const Counts &counts) {
    numRestrictsMoved += counts.restrictsMoved;
    numExtendsMoved += counts.extendsMoved;
    numSublayersRemoved += counts.sublayersRemoved;
    numCachesNarrowed += counts.cachesNarrowed;
    numCachesRemoved += counts.cachesRemoved;
    module.walk([&](RestrictOp op) {
      Operation *source = op.getInput().getDefiningOp();
      numGathers +=
          source && isa<ml_program::GlobalLoadConstOp, RestrictOp>(source) ? 0
                                                                           : 1;
    });
  }
};
} // namespace
