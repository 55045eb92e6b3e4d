// Builds the linalg that an op stands for, step by step.
//
// Each op that is made carries the site of the op that it is for as
// `prune.site`: the one that computes its value SITE, the steps before it
// SITE.STEP. Inside of a kernel, which many sites share, ops have none.
#ifndef COPPICE_DIALECT_LINALGSTEPS_H
#define COPPICE_DIALECT_LINALGSTEPS_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace coppice {

class LinalgSteps {
public:
  using Value = mlir::Value;
  /// Makes an element of the result from those of the inputs and of `init`.
  using Body = llvm::function_ref<Value(mlir::OpBuilder &, mlir::Location,
                                        mlir::ValueRange inputs, Value init)>;

  LinalgSteps(mlir::OpBuilder &builder, mlir::Location loc,
              llvm::StringRef site)
      : builder(builder), loc(loc), site(site.str()) {}

  mlir::AffineExpr dim(unsigned position) {
    return builder.getAffineDimExpr(position);
  }
  /// The map from `dims` loops to `results`.
  mlir::AffineMap map(unsigned dims, llvm::ArrayRef<mlir::AffineExpr> results) {
    return mlir::AffineMap::get(dims, 0, results, builder.getContext());
  }

  /// Extent `index` of `value`: static where the type knows it.
  mlir::OpFoldResult extent(Value value, int64_t index) {
    return mlir::tensor::getMixedSize(builder, loc, value, index);
  }

  Value empty(llvm::ArrayRef<mlir::OpFoldResult> sizes, mlir::Type element) {
    return mlir::tensor::EmptyOp::create(builder, loc, sizes, element);
  }

  /// A tensor of `sizes` that holds `value` everywhere.
  Value filled(llvm::ArrayRef<mlir::OpFoldResult> sizes, mlir::TypedAttr value,
               llvm::StringRef step) {
    Value scalar = mlir::arith::ConstantOp::create(builder, loc, value);
    auto fill = mlir::linalg::FillOp::create(builder, loc, scalar,
                                             empty(sizes, value.getType()));
    name(fill, step);
    return fill.getResult(0);
  }
  Value filled(llvm::ArrayRef<mlir::OpFoldResult> sizes, float value,
               llvm::StringRef step) {
    return filled(sizes, builder.getF32FloatAttr(value), step);
  }

  /// A linalg.generic with one result. The iterators are as many as the maps
  /// have dimensions; the last `reductions` reduce.
  Value generic(mlir::ValueRange inputs, Value init,
                llvm::ArrayRef<mlir::AffineMap> maps, unsigned reductions,
                llvm::StringRef step, Body body) {
    unsigned dims = maps.front().getNumDims();
    llvm::SmallVector<mlir::utils::IteratorType> iterators(
        dims, mlir::utils::IteratorType::parallel);
    for (unsigned i = dims - reductions; i < dims; ++i)
      iterators[i] = mlir::utils::IteratorType::reduction;
    auto op = mlir::linalg::GenericOp::create(
        builder, loc, init.getType(), inputs, init, maps, iterators,
        [&](mlir::OpBuilder &b, mlir::Location l, mlir::ValueRange elements) {
          Value result = body(b, l, elements.drop_back(), elements.back());
          mlir::linalg::YieldOp::create(b, l, result);
        });
    name(op, step);
    return op.getResult(0);
  }

  /// Names the op that computes `step`; "" is the value of the site.
  void name(mlir::Operation *op, llvm::StringRef step) {
    if (site.empty())
      return;
    op->setAttr("prune.site",
                builder.getStringAttr(step.empty() ? llvm::Twine(site)
                                                   : site + "." + step));
  }

  mlir::OpBuilder &builder;
  mlir::Location loc;
  std::string site;
};

} // namespace coppice

#endif // COPPICE_DIALECT_LINALGSTEPS_H
