//===- ProductEpilogue.cpp - the region of a product on a number ----------===//

#include "ProductEpilogue.h"

using namespace mlir;

namespace coppice::nvptx {

SmallVector<ProductEpilogue::Operands>
ProductEpilogue::load(Value row, Value column, int64_t width) {
  SmallVector<Operands> operands(width);
  if (!gemm.hasEpilogue())
    return operands;
  for (Value extra : gemm.getExtras()) {
    auto type = cast<RankedTensorType>(extra.getType());
    Type element = type.getElementType();
    bool isColumn = type.getRank() == 2 && type.getDimSize(1) == 1;
    SmallVector<Value> indices{column};
    if (type.getRank() == 2)
      indices = {row, isColumn ? i32(0) : column};
    Value address = addressOf(extra, indices);
    if (width == 1 || isColumn) {
      Value value = KernelBuilder::load(element, address);
      for (Operands &each : operands)
        each.push_back(value);
      continue;
    }
    Value values =
        KernelBuilder::load(VectorType::get(width, element), address,
                            width * element.getIntOrFloatBitWidth() / 8);
    for (auto [i, each] : llvm::enumerate(operands))
      each.push_back(LLVM::ExtractElementOp::create(b, values, i32(i)));
  }
  return operands;
}

FailureOr<Value> ProductEpilogue::apply(Value sum, ArrayRef<Value> operands) {
  Type result = getElementTypeOrSelf(gemm.getResult());
  if (!gemm.hasEpilogue())
    return convert(sum, result);
  Block &region = gemm.getEpilogue().front();
  IRMapping mapping;
  mapping.map(region.getArgument(0),
              convert(sum, region.getArgument(0).getType()));
  mapping.map(region.getArguments().drop_front(), operands);
  for (Operation &op : region.without_terminator()) {
    if (!op.hasTrait<OpTrait::ConstantLike>() &&
        !OpTrait::hasElementwiseMappableTraits(&op))
      return op.emitError("expected an elementwise operation in the epilogue "
                          "of a GEMM kernel");
    b.clone(op, mapping);
  }
  return convert(mapping.lookup(region.getTerminator()->getOperand(0)), result);
}

} // namespace coppice::nvptx
