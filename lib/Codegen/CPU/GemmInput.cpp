//===- GemmInput.cpp - rows of A as a tile of a product wants them --------===//
//
// In: rows of A and a block of K, or groups of it. Out: their copy, side by
// side and of the type that products take; or which steps along K have a value
// that is not zero.
//
//===----------------------------------------------------------------------===//

#include "GemmEmitter.h"
#include "VectorAccess.h"

using namespace mlir;

namespace coppice::cpu {

/// Lists the whole steps along K in which one of the rows [row, row + height)
/// of an item is not zero. Each is written behind those that are kept so far,
/// so that there is no branch that could be mispredicted.
void GemmEmitter::findSteps(const Item &item, Value row, Value height) {
  Value memory = isCopied() ? copied : flatInput;
  auto isNotZero = [&](Value element) -> Value {
    Value value = memref::LoadOp::create(b, memory, element);
    if (isa<FloatType>(value.getType()))
      return arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, value, f32(0));
    // Halves are bits: all but the sign.
    auto constant = [&](int64_t bits) {
      return arith::ConstantOp::create(b,
                                       b.getIntegerAttr(value.getType(), bits));
    };
    return arith::CmpIOp::create(
        b, arith::CmpIPredicate::ne,
        arith::AndIOp::create(b, value, constant(0x7fff)), constant(0));
  };
  ValueRange count = loop(
      index(0), index(stepsOf(gemm.k())), 1, index(0),
      [&](Value step, ValueRange carried) {
        memref::StoreOp::create(
            b, arith::IndexCastOp::create(b, b.getI32Type(), step), foundSteps,
            carried[0]);
        Value any = loop(
            index(0), height, 1,
            arith::ConstantOp::create(b, b.getBoolAttr(false)).getResult(),
            [&](Value r, ValueRange found) {
              Value first =
                  isCopied()
                      ? mul(r, copyPitch())
                      : mul(rowOfInput(add(item.first, add(row, r))), gemm.k());
              Value isKept = found[0];
              for (int64_t part = 0; part < product->depth(); ++part)
                isKept = arith::OrIOp::create(
                    b, isKept,
                    isNotZero(
                        add(add(first, mul(step, product->depth())), part)));
              return SmallVector<Value>{isKept};
            })[0];
        return SmallVector<Value>{
            add(carried[0],
                arith::IndexCastUIOp::create(b, b.getIndexType(), any))};
      });
  foundCount = count[0];
}

/// `height` rows of A, K of the block, as f32 or for tiles as stored, one after
/// the other, from row `row` of the item on. Groups of a set lie apart, and the
/// CPU's own prefetching does not see where the next one is: so the next tile's
/// are fetched meanwhile.
void GemmEmitter::copyInput(Value height, const Item &item, const Block &block,
                            Value row) {
  loop(index(0), height, 1, [&](Value r) {
    Value from = mul(rowOfInput(add(item.first, add(row, r))), gemm.k());
    Value next;
    if (gemm.groups && config.rows > tallest)
      next = mul(rowOfInput(add(item.first, min(add(add(row, r), height),
                                                sub(item.count, index(1))))),
                 gemm.k());
    Value to = mul(r, copyPitch());
    if (!gemm.groups)
      return copyRun(add(from, block.from), to, sub(block.to, block.from));
    int64_t size = gemm.groups->size;
    loop(block.from, block.to, 1, [&](Value position) {
      Value first = mul(groups->at(position), size);
      copyRun(add(from, first), add(to, mul(sub(position, block.from), size)),
              min(index(size), sub(index(gemm.k()), first)),
              next ? add(next, first) : Value());
    });
  });
}

/// `count` neighbours of A; those at `next`, if given, are fetched.
void GemmEmitter::copyRun(Value from, Value to, Value count, Value next) {
  // Tiles take it as it is stored.
  bool isTiled = step == GemmStep::Tiles;
  int64_t lanes = isTiled ? TileRegisters::depth : target.lanes();
  Type storage = getElementTypeOrSelf(gemm.input);
  Value whole = sub(count, rem(count, lanes)), end = count;
  // A step reads whole groups: behind the values are zeros.
  bool isPadded = step == GemmStep::Select || isTiled;
  int64_t paddedTo = isTiled ? lanes : kPaddedTo;
  if (isPadded)
    end = mul(div(add(count, paddedTo - 1), paddedTo), paddedTo);
  auto move = [&](Value at, Value mask) {
    Value values =
        loadVector(b, flatInput, storage, lanes, add(from, at), mask);
    if (!isTiled)
      values = convertFloat(b, values, b.getF32Type());
    storeVector(b, values, copied, add(to, at), isPadded ? Value() : mask);
  };
  loop(index(0), whole, lanes, [&](Value at) {
    if (next)
      memref::PrefetchOp::create(b, flatInput, ValueRange{add(next, at)},
                                 /*isWrite=*/false, /*localityHint=*/2,
                                 /*isDataCache=*/true);
    move(at, {});
  });
  loop(whole, end, lanes, [&](Value at) {
    Value left = isPadded ? max(sub(count, at), index(0)) : sub(count, at);
    move(at, vector::CreateMaskOp::create(
                 b, VectorType::get(lanes, b.getI1Type()), left));
  });
}

} // namespace coppice::cpu
