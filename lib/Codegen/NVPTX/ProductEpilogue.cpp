//===- ProductEpilogue.cpp - the region of a product on a number ----------===//

#include "ProductEpilogue.h"

using namespace mlir;

namespace coppice::nvptx {

FailureOr<Value> ProductEpilogue::emit(Value sum, Value row, Value column) {
  Type result = getElementTypeOrSelf(gemm.getResult());
  if (!gemm.hasEpilogue())
    return convert(sum, result);
  Block &region = gemm.getEpilogue().front();
  IRMapping mapping;
  mapping.map(region.getArgument(0),
              convert(sum, region.getArgument(0).getType()));
  for (auto [scalar, extra] :
       llvm::zip_equal(region.getArguments().drop_front(), gemm.getExtras())) {
    auto type = cast<RankedTensorType>(extra.getType());
    SmallVector<Value> indices{column};
    if (type.getRank() == 2)
      indices = {row, type.getDimSize(1) == 1 ? i32(0) : column};
    mapping.map(scalar, load(scalar.getType(), addressOf(extra, indices)));
  }
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
