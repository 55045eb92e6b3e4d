//===- AttentionBuilder.cpp - what kernels of attention share -------------===//

#include "AttentionBuilder.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace coppice::nvptx {

AttentionBuilder::AttentionBuilder(ImplicitLocOpBuilder &b, KernelShell &shell,
                                   decoder::AttentionOp op)
    : KernelBuilder(b, shell), op(op), headDim(op.getHeadDim()),
      queryHeads(op.getQueryHeads()), kvHeads(op.getKvHeads()),
      group(queryHeads / kvHeads),
      scale(op.getScale().convertToFloat() * llvm::numbers::log2ef) {}

int64_t AttentionBuilder::bytesOf(Value tensor) {
  return getElementTypeOrSelf(tensor).getIntOrFloatBitWidth() / 8;
}

int64_t AttentionBuilder::countLists() {
  if (!op.getRowList())
    return 0;
  auto type = cast<RankedTensorType>(op.getRowList().getType());
  return type.getRank() == 2 ? type.getDimSize(0) : 0;
}

Value AttentionBuilder::countRows(Value head) {
  if (!op.getRowList())
    return extentOf(op.getQuery(), 0);
  if (int64_t lists = countLists())
    return loadElement(op.getRowCount(), div(head, queryHeads / lists));
  return load(b.getI32Type(), argumentOf(op.getRowCount()));
}

Value AttentionBuilder::rowAt(Value number, Value head) {
  if (!op.getRowList())
    return number;
  if (int64_t lists = countLists())
    return loadElement(op.getRowList(),
                       {div(head, queryHeads / lists), number});
  return loadElement(op.getRowList(), number);
}

AttentionBuilder::Range AttentionBuilder::seenFrom(Value position) {
  Range seen{i32(0), add(position, 1)};
  if (std::optional<uint64_t> window = op.getWindow()) {
    // A window that reaches behind every position is none.
    int64_t size = std::min<int64_t>(*window, 1 << 30);
    seen.from = max(seen.from, sub(seen.to, i32(size)));
  }
  return seen;
}

AttentionBuilder::Range AttentionBuilder::listedRange(Value row, Value kvHead,
                                                      Value place, Range seen) {
  int64_t size = op.getBlockSizeAttr().getInt();
  Value column = add(mul(kvHead, op.getBlocksPerHead()), place);
  Value block = loadElement(op.getBlocks(), {row, column});
  // Only of blocks that begin before the end is the first position computed:
  // that of others could overflow.
  Value isThere =
      both(compare(arith::CmpIPredicate::sge, block, i32(0)),
           less(block, div(max(add(seen.to, size - 1), i32(0)), size)));
  Value from = mul(select(isThere, block, i32(0)), size);
  Range part{max(seen.from, from), min(seen.to, add(from, size))};
  part.to = select(isThere, part.to, part.from);
  return part;
}

Value AttentionBuilder::cacheAt(Value cache, Value slot, Value position,
                                Value kvHead) {
  Value context = extentOf(cache, 1);
  return at(argumentOf(cache), getElementTypeOrSelf(cache),
            add(mul(slot, context), position), extentOf(cache, 2),
            mul(kvHead, headDim));
}

Value AttentionBuilder::partialAt(Value number, Value head, Value chunk,
                                  int64_t chunks) {
  Value line = add(mul(number, queryHeads), head);
  return at(shell.workspace, b.getF32Type(), add(mul(line, chunks), chunk),
            i32(partialWidth(headDim)), i32(0));
}

Value AttentionBuilder::referenceOf(Value largest) {
  Value isNone = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, largest,
                                       minusInfinity());
  return select(isNone, f32(0), largest);
}

Value AttentionBuilder::exp2(Value x) { return math::Exp2Op::create(b, x); }

Value AttentionBuilder::larger(Value x, Value y) {
  return arith::MaximumFOp::create(b, x, y);
}

Value AttentionBuilder::shareOf(Value total) {
  Value any =
      arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, total, f32(0));
  return select(any, arith::DivFOp::create(b, f32(1), total), f32(0));
}

} // namespace coppice::nvptx
