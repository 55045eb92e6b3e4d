//===- KernelPlan.cpp - how one kernel will be compiled -------------------===//

#include "coppice/Codegen/KernelPlan.h"

using namespace mlir;

namespace coppice {

KernelPlan KernelPlan::always(func::FuncOp kernel, exec::ConfigAttr config,
                              AffineMap grid) {
  KernelPlan plan;
  plan.variants.push_back({AffineMap(), {{config, grid, ""}}, AffineMap()});
  plan.packings.assign(kernel.getNumArguments(), {});
  return plan;
}

void applyPlan(func::FuncOp kernel, const KernelPlan &plan,
               const KernelVariant &variant, const KernelStage &stage) {
  kernel->setAttr(exec::configAttrName, stage.config);
  if (plan.countsItems)
    kernel->setAttr(exec::gridAttrName, AffineMapAttr::get(stage.grid));
  if (variant.workspace)
    kernel->setAttr(exec::workspaceAttrName,
                    AffineMapAttr::get(variant.workspace));
  for (auto [index, packing] : llvm::enumerate(plan.packings))
    if (packing)
      kernel.setArgAttr(index, exec::packingAttrName, packing);
}

RankedTensorType packedType(RankedTensorType type, exec::PackingAttr packing) {
  if (!packing)
    return type;
  FailureOr<SmallVector<int64_t>> shape = packing.pack(type);
  assert(succeeded(shape) && "not a weight");
  return RankedTensorType::get(*shape, type.getElementType());
}

exec::ConfigAttr
makeConfig(MLIRContext *context, StringRef strategy,
           ArrayRef<std::pair<StringRef, int64_t>> parameters) {
  Builder builder(context);
  SmallVector<NamedAttribute> entries;
  for (auto [name, value] : parameters)
    entries.push_back(
        builder.getNamedAttr(name, builder.getI64IntegerAttr(value)));
  return exec::ConfigAttr::get(context, builder.getStringAttr(strategy),
                               builder.getDictionaryAttr(entries));
}

StringRef getStrategy(func::FuncOp kernel) {
  auto config = kernel->getAttrOfType<exec::ConfigAttr>(exec::configAttrName);
  return config ? config.getStrategy().getValue() : StringRef();
}

FailureOr<int64_t> getParameter(func::FuncOp kernel, StringRef name) {
  auto config = kernel->getAttrOfType<exec::ConfigAttr>(exec::configAttrName);
  std::optional<int64_t> value =
      config ? config.getParameter(name) : std::nullopt;
  if (!value)
    return kernel.emitError() << "expected '" << exec::configAttrName
                              << "' to have a parameter '" << name << "'";
  return *value;
}

AffineMap makeGrid(AffineExpr result) {
  return AffineMap::get(0, exec::numSymbols, result);
}

FailureOr<AffineExpr> getArgumentExtent(func::FuncOp kernel, unsigned arg,
                                        unsigned dim) {
  auto type = cast<RankedTensorType>(kernel.getArgumentTypes()[arg]);
  if (!type.isDynamicDim(dim))
    return getAffineConstantExpr(type.getDimSize(dim), kernel.getContext());
  FailureOr<unsigned> symbol = getArgumentSymbol(kernel, arg, dim);
  if (failed(symbol))
    return failure();
  return getAffineSymbolExpr(*symbol, kernel.getContext());
}

FailureOr<unsigned> getArgumentSymbol(func::FuncOp kernel, unsigned arg,
                                      unsigned dim) {
  auto dims = kernel.getArgAttrOfType<ArrayAttr>(arg, exec::dimsAttrName);
  if (!dims || dim >= dims.size()) {
    kernel.emitError() << "expected '" << exec::dimsAttrName
                       << "' to name the extent of dimension " << dim
                       << " of argument " << arg << ", which is dynamic";
    return failure();
  }
  auto name = dyn_cast<StringAttr>(dims[dim]);
  std::optional<unsigned> symbol =
      name ? exec::getSymbolIndex(name) : std::nullopt;
  if (!symbol) {
    kernel.emitError() << "expected a symbol as extent of dimension " << dim
                       << " of argument " << arg << ", found " << dims[dim];
    return failure();
  }
  return *symbol;
}

exec::PackingAttr getArgumentPacking(func::FuncOp kernel, unsigned arg) {
  return kernel.getArgAttrOfType<exec::PackingAttr>(arg, exec::packingAttrName);
}

} // namespace coppice
