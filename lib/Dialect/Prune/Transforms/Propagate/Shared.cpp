// Restrictions that all users of a value share, and narrow copies of ops.
#include "Rules.h"

using namespace mlir;

namespace coppice::prune::propagate {

std::optional<SharedRestriction> findShared(Value value, int64_t axis,
                                            SetAttr set, bool allowReturns) {
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

std::optional<SharedRestriction> findShared(RestrictOp op, bool allowReturns) {
  return findShared(op.getInput(), op.getAxis(), op.getKeep(), allowReturns);
}

void replaceShared(PatternRewriter &rewriter, const SharedRestriction &shared,
                   Value narrow) {
  for (tensor::DimOp dim : shared.dims)
    rewriter.modifyOpInPlace(dim,
                             [&] { dim.getSourceMutable().assign(narrow); });
  for (RestrictOp restrict : shared.restricts)
    rewriter.replaceOp(restrict, narrow);
}

Value restrict(PatternRewriter &rewriter, Location loc, Value value,
               int64_t axis, SetAttr set) {
  return rewriter.createOrFold<RestrictOp>(loc, value, axis, set);
}

RankedTensorType narrowType(Type type, int64_t axis, SetAttr set) {
  auto dense = cast<RankedTensorType>(type);
  SmallVector<int64_t> shape(dense.getShape());
  shape[axis] = set.getKeptExtent();
  return RankedTensorType::get(shape, dense.getElementType(),
                               dense.getEncoding());
}

Operation *cloneWith(PatternRewriter &rewriter, Operation *op, TypeRange types,
                     ValueRange operands) {
  OperationState state(op->getLoc(), op->getName(), operands, types,
                       op->getAttrs());
  for (Region &region : op->getRegions()) {
    IRMapping mapping;
    region.cloneInto(state.addRegion(), mapping);
  }
  return rewriter.create(state);
}

} // namespace coppice::prune::propagate
