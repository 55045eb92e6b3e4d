//===- PruneRoundValues.cpp - round what another program stores so --------===//
// In: a module of named ops on f32 rows, names of values. Out: the same; a
// value with one of these names is rounded to 16 bits, and widened again,
// before anything reads it. Nothing is decided here, and nothing is shared with
// the pass that decides: this is the oracle's side.
//===----------------------------------------------------------------------===//
#include "coppice/Schedule/Passes.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/StringSet.h"

namespace coppice {
#define GEN_PASS_DEF_PRUNEROUNDVALUES
#include "coppice/Schedule/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;

/// Puts a rounding of the only result of `op` between it and all that reads it.
static void round(Operation *op, StringRef name, Type narrowType) {
  Value value = op->getResult(0);
  auto type = cast<RankedTensorType>(value.getType());
  OpBuilder builder(op->getContext());
  builder.setInsertionPointAfter(op);
  Location loc = op->getLoc();
  SmallPtrSet<Operation *, 4> own;
  SmallVector<Value> dynamic;
  for (int64_t axis = 0; axis < type.getRank(); ++axis)
    if (type.isDynamicDim(axis)) {
      auto dim = tensor::DimOp::create(builder, loc, value, axis);
      own.insert(dim);
      dynamic.push_back(dim);
    }
  Value empty = tensor::EmptyOp::create(builder, loc, type, dynamic);
  auto identity = builder.getMultiDimIdentityMap(type.getRank());
  SmallVector<utils::IteratorType> parallel(type.getRank(),
                                            utils::IteratorType::parallel);
  auto rounded = linalg::GenericOp::create(
      builder, loc, type, value, empty, ArrayRef<AffineMap>{identity, identity},
      parallel, [&](OpBuilder &b, Location loc, ValueRange elements) {
        Value narrow = arith::TruncFOp::create(b, loc, narrowType, elements[0]);
        Value wide = arith::ExtFOp::create(b, loc, b.getF32Type(), narrow);
        linalg::YieldOp::create(b, loc, wide);
      });
  setSite(rounded, name);
  // What is zero stays zero: the rounded value is the one that is decided of.
  if (Attribute threshold =
          op->removeDiscardableAttr(prune::PruneDialect::thresholdAttrName))
    rounded->setAttr(prune::PruneDialect::thresholdAttrName, threshold);
  own.insert(rounded);
  value.replaceAllUsesExcept(rounded.getResult(0), own);
}

/// That of its value; of what is no value of the dense program the site.
static StringRef getRoundedName(Operation *op) {
  StringRef name = getValueName(op);
  return name.empty() ? getSite(op) : name;
}

namespace {
struct PruneRoundValues
    : coppice::impl::PruneRoundValuesBase<PruneRoundValues> {
  using PruneRoundValuesBase::PruneRoundValuesBase;

  void runOnOperation() override {
    llvm::StringSet<> wanted;
    for (const std::string &name : names)
      wanted.insert(name);
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (op->getNumResults() != 1 || !wanted.contains(getRoundedName(op)))
        return;
      auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
      if (type && type.getElementType().isF32())
        ops.push_back(op);
    });
    Builder builder(&getContext());
    Type narrow = f16 ? Type(builder.getF16Type()) : builder.getBF16Type();
    for (Operation *op : ops)
      round(op, getRoundedName(op), narrow);
  }
};
} // namespace
