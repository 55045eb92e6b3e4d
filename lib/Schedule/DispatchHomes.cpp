//===- DispatchHomes.cpp - extents and homes of tensors
//----------------------===//
// In: a tensor of @forward. Out: its extents as symbols of the step, and its
// home: the weight, step field, state or buffer that holds it.
//===----------------------------------------------------------------------===//
#include "DispatchFormer.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace coppice;

//===----------------------------------------------------------------------===//
// Extents
//===----------------------------------------------------------------------===//

/// The extent that an index of @forward is, null if it is no extent.
Attribute DispatchFormer::getIndexExtent(Value index) {
  if (std::optional<int64_t> constant = getConstantIntValue(index))
    return builder.getI64IntegerAttr(*constant);
  if (auto dim = index.getDefiningOp<tensor::DimOp>())
    if (std::optional<int64_t> axis = dim.getConstantIndex())
      if (ArrayAttr shape = getExtents(dim.getSource());
          shape && *axis < static_cast<int64_t>(shape.size()))
        return shape[*axis];
  return nullptr;
}

/// The extents of a tensor, null if they are no symbols.
ArrayAttr DispatchFormer::getExtents(Value tensor) {
  if (ArrayAttr known = extents.lookup(tensor))
    return known;
  auto type = dyn_cast<RankedTensorType>(tensor.getType());
  Operation *op = tensor.getDefiningOp();
  if (!type || !op)
    return nullptr;
  SmallVector<OpFoldResult> sizes;
  if (type.hasStaticShape())
    return extents[tensor] = builder.getI64ArrayAttr(type.getShape());
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    sizes = empty.getMixedSizes();
  else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    sizes = getMixedValues(expand.getStaticOutputShape(),
                           expand.getOutputShape(), builder);
  else if (auto fill = dyn_cast<linalg::FillOp>(op))
    return extents[tensor] = getExtents(fill.getDpsInits()[0]);
  else if (auto cast = dyn_cast<tensor::CastOp>(op))
    return extents[tensor] = getExtents(cast.getSource());
  else
    return nullptr;
  SmallVector<Attribute> shape;
  for (OpFoldResult size : sizes) {
    Attribute extent =
        isa<Attribute>(size)
            ? builder.getI64IntegerAttr(
                  cast<IntegerAttr>(cast<Attribute>(size)).getInt())
            : getIndexExtent(cast<Value>(size));
    if (!extent)
      return nullptr;
    shape.push_back(extent);
  }
  return extents[tensor] = builder.getArrayAttr(shape);
}

/// Extents of what `op` makes: those of its destination if it has one; else a
/// dynamic axis is that of the first operand which has it too (rows follow
/// rows; a lookup lists its indices first). Lists of rows have room for all.
FailureOr<ArrayAttr> DispatchFormer::getResultExtents(Operation *op,
                                                      OpResult result) {
  auto type = dyn_cast<RankedTensorType>(result.getType());
  if (!type || exec::getElementBytes(type.getElementType()) == 0)
    return op->emitError(
               "expected to compute tensors of f32, f16, bf16 or i32, found ")
           << result.getType();
  ArrayAttr shape;
  if (Value init = getInit(result)) {
    shape = getExtents(init);
  } else {
    SmallVector<Attribute> list;
    for (auto [axis, size] : llvm::enumerate(type.getShape())) {
      Attribute extent;
      if (!ShapedType::isDynamic(size))
        extent = builder.getI64IntegerAttr(size);
      else if (auto compact = dyn_cast<prune::CompactOp>(op))
        if (ArrayAttr mask = getExtents(compact.getMask()))
          extent = mask[0];
      for (Value operand : op->getOperands()) {
        auto operandType = dyn_cast<RankedTensorType>(operand.getType());
        if (extent || !operandType ||
            operandType.getRank() <= static_cast<int64_t>(axis) ||
            !operandType.isDynamicDim(axis))
          continue;
        if (ArrayAttr operandShape = getExtents(operand))
          extent = operandShape[axis];
      }
      list.push_back(extent);
    }
    if (!llvm::is_contained(list, Attribute()))
      shape = builder.getArrayAttr(list);
  }
  if (!shape)
    return op->emitError("expected dynamic extents that are symbols of the "
                         "step (rows, head_rows, slots or context), "
                         "found others in ")
           << result.getType();
  extents[result] = shape;
  return shape;
}

//===----------------------------------------------------------------------===//
// Homes
//===----------------------------------------------------------------------===//

/// Weights are declared where they are first asked for.
FailureOr<Value> DispatchFormer::getOrDeclareHome(Value tensor,
                                                  Operation *user) {
  if (Value home = getHome(tensor))
    return home;
  Operation *op = tensor.getDefiningOp();
  if (!op || !isWeightLoad(op))
    return user->emitError("expected operands that are weights, arguments of "
                           "@forward or results of other ops, found ")
           << tensor;
  auto name = cast<FlatSymbolRefAttr>(
      isa<ml_program::GlobalLoadOp>(op)
          ? cast<ml_program::GlobalLoadOp>(op).getGlobal()
          : cast<ml_program::GlobalLoadConstOp>(op).getGlobal());
  exec::WeightOp &weight = weights[name.getValue()];
  if (!weight) {
    auto type = cast<RankedTensorType>(tensor.getType());
    if (!type.hasStaticShape() ||
        exec::getElementBytes(type.getElementType()) == 0)
      return op->emitError("expected a weight of static shape and f32, f16, "
                           "bf16 or i32, found ")
             << type;
    OpBuilder::InsertionGuard guard(builder);
    if (lastDeclaration)
      builder.setInsertionPointAfter(lastDeclaration);
    else
      builder.setInsertionPointToStart(&program.getBody().front());
    weight = exec::WeightOp::create(
        builder, op->getLoc(),
        MemRefType::get(type.getShape(), type.getElementType()), name.getAttr(),
        name, exec::PackingAttr::rows(module.getContext()));
    lastDeclaration = weight;
  }
  return homes[tensor] = weight.getResult();
}

Value DispatchFormer::createBuffer(ArrayAttr shape, Type element,
                                   Location loc) {
  auto sizes = llvm::map_to_vector(shape, [](Attribute extent) {
    auto number = dyn_cast<IntegerAttr>(extent);
    return number ? number.getInt() : ShapedType::kDynamic;
  });
  return exec::BufferOp::create(builder, loc, MemRefType::get(sizes, element),
                                shape, AffineMapAttr());
}

/// Does anything after `op` read this very tensor (not what replaces it)?
bool DispatchFormer::isUsedAfter(Value tensor, Operation *op) {
  return llvm::any_of(tensor.getUsers(), [&](Operation *user) {
    Operation *top = forward.getBody().front().findAncestorOpInBlock(*user);
    if (isa<tensor::DimOp>(top))
      return false;
    if (isReshape(top))
      return isUsedAfter(top->getResult(0), op);
    return order.lookup(top) > order.lookup(op);
  });
}
