// Projections themselves: P = E S is taken apart, S and E pass one another, and
// what is projected to nothing leaves its sum.
#include "Rules.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;
using namespace coppice::prune::propagate;

namespace {
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

/// E_k E_l = E_(k composed with l) along one axis. Others may go on reading
/// what E_l extends or gives. Where two were left there would be two maps of a
/// residual, and one of them nameless.
struct MergeExtends : OpRewritePattern<ExtendOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ExtendOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<ExtendOp>();
    if (!inner || inner.getAxis() != op.getAxis())
      return rewriter.notifyMatchFailure(op,
                                         "no extension of the same axis below");
    if (op.getKeep().hasDynamicCount() || inner.getKeep().hasDynamicCount())
      return rewriter.notifyMatchFailure(
          op, "a set without a count composes with none");
    rewriter.replaceOpWithNewOp<ExtendOp>(
        op, inner.getInput(), op.getAxis(),
        op.getKeep().compose(inner.getKeep()));
    return success();
  }
};

/// r + P_none(y) = r.
struct DropAdditionOfNothing : CountedRule<linalg::GenericOp> {
  using CountedRule::CountedRule;

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

void propagate::addProjectionRules(RewritePatternSet &rules, Counts &counts) {
  rules.add<DropAdditionOfNothing>(rules.getContext(), counts);
  rules.add<SplitProject, MergeExtends, DimOfProjection, RestrictUpEmpty,
            RestrictAboveExtend>(rules.getContext());
}
