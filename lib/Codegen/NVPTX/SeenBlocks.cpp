//===- SeenBlocks.cpp - what rows see of their slots, on a GPU ------------===//

#include "SeenBlocks.h"
#include <limits>

using namespace mlir;

namespace coppice::nvptx {

Value SeenBlocks::blockOf(Value row) {
  Value position = loadElement(op.getPositions(), row);
  Value none = i32(0);
  return select(less(position, none), i32(-1), div(max(position, none), size));
}

Value SeenBlocks::isSame(Value row, Value other, Value block) {
  return both(
      equal(loadElement(op.getSlots(), row), loadElement(op.getSlots(), other)),
      equal(blockOf(other), block));
}

Value SeenBlocks::isLeader(Value row) {
  Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
  return ifThen(less(i32(0), row), yes, [&]() -> SmallVector<Value> {
    return {exclusive(isSame(row, sub(row, i32(1)), blockOf(row)), yes)};
  })[0];
}

SeenBlocks::Seen SeenBlocks::seenBy(Value row) {
  Value none = i32(0), from = none;
  Value own = blockOf(row);
  if (std::optional<uint64_t> window = op.getWindow()) {
    // Positions are numbers of 32 bits, so that no larger window hides any.
    auto before = static_cast<int64_t>(
        std::min<uint64_t>(*window - 1, std::numeric_limits<int32_t>::max()));
    Value position = loadElement(op.getPositions(), row);
    from = div(max(sub(position, i32(before)), none), size);
  }
  Value count = max(sub(add(own, 1), from), none);
  Value open = max(sub(count, i32(first + recent)), none);
  Value taken = min(open, i32(top));
  return {from, add(min(count, i32(first + recent)), taken), open, taken};
}

Value SeenBlocks::scoresOf(Value row, Value kvHead) {
  Value blocks = div(add(extentOf(op.getKeys(), 1), size - 1), size);
  return at(shell.workspace, b.getI32Type(), add(mul(row, kvHeads), kvHead),
            blocks, i32(0));
}

Value SeenBlocks::orderedKey(Value score) {
  using Float = arith::CmpFPredicate;
  Value isNaN = compare(Float::UNO, score, score);
  // 0 and -0 are equal.
  score = select(compare(Float::OEQ, score, f32(0)), f32(0), score);
  Value bits = arith::BitcastOp::create(b, b.getI32Type(), score);
  Value key = select(less(bits, i32(0)), exclusive(bits, i32(-1)),
                     either(bits, i32(std::numeric_limits<int32_t>::min())));
  return select(isNaN, i32(-1), key);
}

} // namespace coppice::nvptx
