//===- GemmEpilogue.cpp - a region of scalars on vectors ------------------===//

#include "GemmEpilogue.h"
#include "BF16Instructions.h"
#include "VectorAccess.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace coppice::cpu {

/// One instruction rounds to bf16 where there is AVX512_BF16; else it takes
/// half a dozen on integers.
Value GemmEpilogue::convert(Value value, Type element) {
  if (element.isBF16() && getElementTypeOrSelf(value).isF32() &&
      target.roundsToBF16())
    return roundToBF16(b, value);
  return convertFloat(b, value, element);
}

/// Element [row, 0] of a value of one column, in all lanes.
Value GemmEpilogue::loadOfRow(TypedValue<MemRefType> memref, Type element,
                              Value row) {
  Value scalar = memref::LoadOp::create(b, memref, ValueRange{row, index(0)});
  if (scalar.getType() != element) // halves are given as bits
    scalar = arith::BitcastOp::create(b, element, scalar);
  return splat(scalar, VectorType::get(target.lanes(), element));
}

FailureOr<Value> GemmEpilogue::emit(ValueRange sums, Value row, Value column,
                                    Value mask) {
  if (!gemm.epilogue)
    return convert(sums.front(), gemm.result);
  int64_t lanes = target.lanes();
  auto widen = [&](Type type) { return VectorType::get(lanes, type); };
  IRMapping mapping;
  for (auto [argument, sum] : llvm::zip(gemm.epilogue->getArguments(), sums))
    mapping.map(argument, convert(sum, argument.getType()));
  for (auto [scalar, extra] :
       llvm::zip_equal(gemm.epilogue->getArguments().drop_front(sums.size()),
                       gemm.extras)) {
    TypedValue<MemRefType> memref = argumentOf(extra);
    if (memref.getType().getRank() == 2 &&
        memref.getType().getDimSize(1) == 1 && gemm.n() != 1) {
      mapping.map(scalar, loadOfRow(memref, scalar.getType(), row));
      continue;
    }
    SmallVector<Value> indices{column};
    if (memref.getType().getRank() == 2)
      indices.insert(indices.begin(), row);
    mapping.map(scalar,
                loadVector(b, memref, scalar.getType(), lanes, indices, mask));
  }

  for (Operation &op : gemm.epilogue->without_terminator()) {
    Attribute constant;
    if (matchPattern(&op, m_Constant(&constant))) {
      auto type = widen(op.getResult(0).getType());
      mapping.map(
          op.getResult(0),
          arith::ConstantOp::create(b, DenseElementsAttr::get(type, constant))
              .getResult());
      continue;
    }
    if (auto narrow = dyn_cast<arith::TruncFOp>(op)) {
      mapping.map(narrow.getOut(),
                  convert(mapping.lookup(narrow.getIn()), narrow.getType()));
      continue;
    }
    if (!OpTrait::hasElementwiseMappableTraits(&op))
      return op.emitError("expected an elementwise operation in the epilogue "
                          "of a GEMM kernel");
    Operation *vectorOp = b.clone(op, mapping);
    for (auto [scalar, vector] :
         llvm::zip_equal(op.getResults(), vectorOp->getResults())) {
      vector.setType(widen(scalar.getType()));
      mapping.map(scalar, vector);
    }
  }
  return mapping.lookup(gemm.epilogue->getTerminator()->getOperand(0));
}

} // namespace coppice::cpu
