//===- ExecDialect.cpp - registration, argument attributes, expressions ---===//
#include "coppice/Dialect/Exec/IR/Exec.h"

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace coppice::exec;

#include "coppice/Dialect/Exec/IR/ExecDialect.cpp.inc"

void ExecDialect::initialize() {
  registerAttrs();
  addOperations<
#define GET_OP_LIST
#include "coppice/Dialect/Exec/IR/ExecOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> coppice::exec::getSymbolNames() {
  static constexpr StringRef names[numSymbols] = {
      "rows", "head_rows", "slots", "context", "attended", "cached"};
  return names;
}

std::optional<unsigned> coppice::exec::getSymbolIndex(StringRef name) {
  ArrayRef<StringRef> names = getSymbolNames();
  const auto *found = llvm::find(names, name);
  if (found == names.end())
    return std::nullopt;
  return found - names.begin();
}

AffineExpr coppice::exec::getSymbolExpr(MLIRContext *context, Symbol symbol) {
  return getAffineSymbolExpr(static_cast<unsigned>(symbol), context);
}

AffineMapAttr coppice::exec::getExprAttr(AffineExpr expr) {
  return AffineMapAttr::get(AffineMap::get(0, numSymbols, expr));
}

AffineExpr coppice::exec::getExtentExpr(Attribute extent) {
  if (auto number = dyn_cast_or_null<IntegerAttr>(extent))
    return getAffineConstantExpr(number.getInt(), extent.getContext());
  if (auto name = dyn_cast_or_null<StringAttr>(extent))
    if (std::optional<unsigned> index = getSymbolIndex(name))
      return getAffineSymbolExpr(*index, extent.getContext());
  return nullptr;
}

AffineExpr coppice::exec::getElementCount(ArrayAttr shape) {
  AffineExpr count = getAffineConstantExpr(1, shape.getContext());
  for (Attribute extent : shape)
    count = getExtentExpr(extent) * count;
  return count;
}

ArrayAttr coppice::exec::getExtents(Value value) {
  Operation *op = value.getDefiningOp();
  if (auto step = dyn_cast_or_null<StepOp>(op))
    return step.getShape();
  if (auto state = dyn_cast_or_null<StateOp>(op))
    return state.getShape();
  if (auto buffer = dyn_cast_or_null<BufferOp>(op))
    return buffer.getShape();
  Builder builder(value.getContext());
  return builder.getI64ArrayAttr(cast<ShapedType>(value.getType()).getShape());
}

int64_t coppice::exec::getElementBytes(Type type) {
  if (type.isF32() || type.isInteger(32))
    return 4;
  if (type.isF16() || type.isBF16())
    return 2;
  if (type.isInteger(8))
    return 1;
  return 0;
}

//===----------------------------------------------------------------------===//
// exec.dims and exec.packing on kernel arguments
//===----------------------------------------------------------------------===//

LogicalResult ExecDialect::verifyRegionArgAttribute(Operation *op,
                                                    unsigned regionIndex,
                                                    unsigned argIndex,
                                                    NamedAttribute attr) {
  auto func = dyn_cast<FunctionOpInterface>(op);
  auto type = func ? dyn_cast<ShapedType>(func.getArgumentTypes()[argIndex])
                   : ShapedType();
  if (attr.getName() == packingAttrName) {
    auto packing = dyn_cast<PackingAttr>(attr.getValue());
    if (!packing)
      return op->emitOpError("expected '")
             << packingAttrName << "' of argument " << argIndex
             << " to be an #exec.packing, found " << attr.getValue();
    if (type && failed(packing.pack(type)))
      return op->emitOpError("argument ") << argIndex
                                          << " cannot be packed into panels: "
                                             "expected a static matrix, found "
                                          << Type(type);
    return success();
  }
  if (attr.getName() != dimsAttrName)
    return op->emitOpError("unknown argument attribute '")
           << attr.getName().getValue() << "'";

  auto dims = dyn_cast<ArrayAttr>(attr.getValue());
  if (!dims)
    return op->emitOpError("expected '")
           << dimsAttrName << "' of argument " << argIndex
           << " to be a list, found " << attr.getValue();
  if (!type || !type.hasRank())
    return success();
  if (static_cast<int64_t>(dims.size()) != type.getRank())
    return op->emitOpError("expected '")
           << dimsAttrName << "' of argument " << argIndex << " to have "
           << type.getRank() << " extents, found " << dims.size();
  for (auto [axis, extent] : llvm::enumerate(dims)) {
    int64_t size = type.getDimSize(axis);
    auto number = dyn_cast<IntegerAttr>(extent);
    if (!getExtentExpr(extent) ||
        (number ? number.getInt() != size : !ShapedType::isDynamic(size)))
      return op->emitOpError("extent ")
             << axis << " of argument " << argIndex << " is declared as "
             << extent << ", its type is " << Type(type);
  }
  return success();
}
