//===- Rules.h - the rules by which projections move ------------*- C++ -*-===//
//
// One file of rules for each op that a restriction S moves above or an
// extension E moves below; `prune-propagate` runs them to a fixed point. A new
// op is a new file and one line in the list at the end.
//
// What S needs to move up: every user of the value restricts it in the same
// way, for the op is rewritten, not copied (`findShared`). What E needs to move
// down: the op maps zeros to zeros.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_DIALECT_PRUNE_TRANSFORMS_PROPAGATE_RULES_H
#define COPPICE_LIB_DIALECT_PRUNE_TRANSFORMS_PROPAGATE_RULES_H

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace coppice::prune::propagate {

/// What rules report to the pass, and the one thing that they must know of it.
struct Counts {
  int64_t restrictsMoved = 0, extendsMoved = 0, sublayersRemoved = 0,
          cachesNarrowed = 0, cachesRemoved = 0;
  /// Nothing in the module calls the function, so its arguments may change.
  bool mayChangeSignature = false;
};

//===----------------------------------------------------------------------===//
// Restrictions that all users share
//===----------------------------------------------------------------------===//

/// How all users of a value restrict it.
struct SharedRestriction {
  mlir::Value value;
  int64_t axis;
  SetAttr set;
  llvm::SmallVector<RestrictOp> restricts;
  llvm::SmallVector<mlir::tensor::DimOp> dims;  // extents of other axes
  llvm::SmallVector<mlir::OpOperand *> returns; // only where the caller allows
};

/// Do all users of `value` restrict it along `axis` to `set`? (`tensor.dim` of
/// another axis does not count as a use.) With `allowReturns`, users that
/// return it from a function are listed too.
std::optional<SharedRestriction> findShared(mlir::Value value, int64_t axis,
                                            SetAttr set,
                                            bool allowReturns = false);
std::optional<SharedRestriction> findShared(RestrictOp op,
                                            bool allowReturns = false);

/// Puts the narrow value in the place of its restrictions.
void replaceShared(mlir::PatternRewriter &rewriter,
                   const SharedRestriction &shared, mlir::Value narrow);

//===----------------------------------------------------------------------===//
// Narrow values and ops
//===----------------------------------------------------------------------===//

mlir::Value restrict(mlir::PatternRewriter &rewriter, mlir::Location loc,
                     mlir::Value value, int64_t axis, SetAttr set);

/// `type` with one extent replaced by what is kept.
mlir::RankedTensorType narrowType(mlir::Type type, int64_t axis, SetAttr set);

/// A copy of `op` with other operands and result types.
mlir::Operation *cloneWith(mlir::PatternRewriter &rewriter, mlir::Operation *op,
                           mlir::TypeRange types, mlir::ValueRange operands);

/// A copy of `op`, which has one result, on narrow operands; its result is
/// recorded to hold `set` of `axis`.
template <typename OpTy>
OpTy cloneNarrow(mlir::PatternRewriter &rewriter, OpTy op,
                 mlir::ValueRange operands, int64_t axis, SetAttr set) {
  mlir::Type type = narrowType(op->getResult(0).getType(), axis, set);
  mlir::Operation *narrow = cloneWith(rewriter, op, type, operands);
  narrowKept(narrow, axis, set);
  return mlir::cast<OpTy>(narrow);
}

//===----------------------------------------------------------------------===//
// The form of most rules
//===----------------------------------------------------------------------===//

/// A rule that moves a restriction above the `OpTy` whose result it restricts.
template <typename OpTy>
struct RestrictUp : mlir::OpRewritePattern<RestrictOp> {
  RestrictUp(mlir::MLIRContext *context, Counts &counts)
      : mlir::OpRewritePattern<RestrictOp>(context), counts(counts) {}

  llvm::LogicalResult
  matchAndRewrite(RestrictOp op,
                  mlir::PatternRewriter &rewriter) const override {
    auto below = op.getInput().getDefiningOp<OpTy>();
    if (!below)
      return mlir::failure();
    // Nothing of a dimension is never a narrower tensor: ops need one column.
    if (op.getKeep().isEmpty())
      return rewriter.notifyMatchFailure(op, "an empty set does not move");
    rewriter.setInsertionPoint(below);
    if (mlir::failed(moveUp(op, below, rewriter)))
      return mlir::failure();
    ++counts.restrictsMoved;
    return mlir::success();
  }

protected:
  virtual llvm::LogicalResult moveUp(RestrictOp op, OpTy below,
                                     mlir::PatternRewriter &rewriter) const = 0;

  /// For ops with one result: replaces `below` by a narrow copy, where its
  /// users agree.
  template <typename OperandsFn>
  llvm::LogicalResult moveUpShared(RestrictOp op, OpTy below,
                                   mlir::PatternRewriter &rewriter,
                                   OperandsFn makeOperands) const {
    std::optional<SharedRestriction> shared = findShared(op);
    if (!shared)
      return rewriter.notifyMatchFailure(
          op, "not all users restrict the value in the same way");
    int64_t axis = op.getAxis();
    SetAttr set = op.getKeep();
    llvm::SmallVector<mlir::Value> operands = makeOperands();
    auto narrow = cloneNarrow(rewriter, below, operands, axis, set);
    replaceShared(rewriter, *shared, narrow->getResult(0));
    if (below->use_empty())
      rewriter.eraseOp(below);
    return mlir::success();
  }

  Counts &counts;
};

/// A rule that rewrites an `OpTy` and counts what it moved.
template <typename OpTy> struct CountedRule : mlir::OpRewritePattern<OpTy> {
  CountedRule(mlir::MLIRContext *context, Counts &counts)
      : mlir::OpRewritePattern<OpTy>(context), counts(counts) {}

protected:
  Counts &counts;
};

//===----------------------------------------------------------------------===//
// All rules, by op
//===----------------------------------------------------------------------===//

void addProjectionRules(mlir::RewritePatternSet &rules, Counts &counts);
void addGemmRules(mlir::RewritePatternSet &rules, Counts &counts);
void addAttentionRules(mlir::RewritePatternSet &rules, Counts &counts);
void addRotaryRules(mlir::RewritePatternSet &rules, Counts &counts);
void addNormRules(mlir::RewritePatternSet &rules, Counts &counts);
void addLookupRules(mlir::RewritePatternSet &rules, Counts &counts);
void addCacheRules(mlir::RewritePatternSet &rules, Counts &counts);
void addLinalgRules(mlir::RewritePatternSet &rules, Counts &counts);
void addRouteRules(mlir::RewritePatternSet &rules, Counts &counts);
void addBlocksRules(mlir::RewritePatternSet &rules, Counts &counts);

/// Removes caches that a step only writes: no attention reads them any more.
/// Whoever calls the function from outside finds its state by name.
void removeDeadCaches(mlir::func::FuncOp function, Counts &counts);

} // namespace coppice::prune::propagate

#endif // COPPICE_LIB_DIALECT_PRUNE_TRANSFORMS_PROPAGATE_RULES_H
