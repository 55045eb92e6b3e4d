//===- GemmProduct.cpp - the inner loop of a matrix product ---------------===//

#include "GemmProduct.h"
#include "BF16Instructions.h"
#include "VectorAccess.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace coppice::cpu {

SmallVector<Value> GemmProduct::run(ValueRange sums, const Operands &operands,
                                    Value steps, bool isMultiple) {
  int64_t unroll = options.unroll;
  auto body = [&](int64_t count) {
    return [&, count](Value at, ValueRange carried) {
      SmallVector<Value> next(carried);
      for (int64_t u = 0; u < count; ++u) {
        if (operands.lines && (!u || options.fetchesEachStep))
          prefetch(operands, add(at, u));
        next = step(next, operands, add(at, u), /*isHalf=*/false);
      }
      return next;
    };
  };
  if (unroll == 1 || isMultiple)
    return llvm::to_vector(loop(index(0), steps, unroll, sums, body(unroll)));
  Value whole = sub(steps, rem(steps, unroll));
  ValueRange most = loop(index(0), whole, unroll, sums, body(unroll));
  return llvm::to_vector(loop(whole, steps, 1, most, body(1)));
}

SmallVector<Value> GemmProduct::runHalf(ValueRange sums,
                                        const Operands &operands, Value at) {
  return step(sums, operands, at, /*isHalf=*/true);
}

/// Vector `vector` of the columns at step `at`, pairs still as pairs.
Value GemmProduct::loadWeights(const Operands &operands, Value at,
                               int64_t vector) {
  Value element =
      add(add(operands.first, mul(at, weightStride())),
          mul(add(operands.column, vector * options.lanes), depth()));
  return loadVector(b, operands.weights, options.weight,
                    options.lanes * depth(), element);
}

/// The address may lie behind the weights, so it must not be an access in
/// LLVM's eyes.
void GemmProduct::prefetch(const Operands &operands, Value step) {
  auto type = cast<MemRefType>(operands.fetched.getType());
  int64_t bytes = type.getElementTypeBitWidth() / 8;
  Value address =
      memref::ExtractAlignedPointerAsIndexOp::create(b, operands.fetched);
  address =
      add(add(address, mul(operands.fetchedFirst, bytes)), operands.ahead);
  address = add(address, arith::MulIOp::create(b, step, operands.aheadStride));
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  for (int64_t line = 0; line < operands.lines; ++line) {
    Value at =
        arith::IndexCastOp::create(b, b.getI64Type(), add(address, 64 * line));
    // To read, into L2 (L1 has no room for what is not needed yet), data.
    LLVM::Prefetch::create(b, LLVM::IntToPtrOp::create(b, pointer, at), 0, 2,
                           1);
  }
}

SmallVector<Value> GemmProduct::step(ValueRange sums, const Operands &operands,
                                     Value at, bool isHalf) {
  if (options.step == GemmStep::Select)
    return select(sums, operands, at);
  int64_t lanes = options.lanes, vectors = sums.size() / operands.rows.size();
  auto accumulator = VectorType::get(lanes, b.getF32Type());
  SmallVector<Value> next(sums);
  auto elementOf = [&](size_t row, int64_t part) {
    return add(add(operands.rows[row], mul(at, depth())), part);
  };
  auto multiply = [&](Value element, Value factor, size_t row, int64_t vector) {
    Value &sum = next[row * vectors + vector];
    sum = vector::FMAOp::create(b, element, factor, sum);
  };
  auto broadcast = [&](size_t row, int64_t part) {
    return splat(memref::LoadOp::create(b, input, elementOf(row, part)),
                 accumulator);
  };
  // What is fewer, rows or vectors, waits in registers; of the other there is
  // one at a time. So 16 registers do for 12 sums.
  int64_t height = operands.rows.size();
  auto multiplyAll = [&](llvm::function_ref<Value(int64_t)> factorOf,
                         int64_t part) {
    SmallVector<Value> held;
    if (height < vectors) {
      for (int64_t row = 0; row < height; ++row)
        held.push_back(broadcast(row, part));
      for (int64_t v = 0; v < vectors; ++v) {
        Value factor = factorOf(v);
        for (int64_t row = 0; row < height; ++row)
          multiply(held[row], factor, row, v);
      }
      return;
    }
    for (int64_t v = 0; v < vectors; ++v)
      held.push_back(factorOf(v));
    for (int64_t row = 0; row < height; ++row) {
      Value element = broadcast(row, part);
      for (int64_t v = 0; v < vectors; ++v)
        multiply(element, held[v], row, v);
    }
  };

  switch (options.step) {
  case GemmStep::Single: {
    multiplyAll(
        [&](int64_t v) {
          return convertFloat(b, loadWeights(operands, at, v), b.getF32Type());
        },
        0);
    break;
  }
  case GemmStep::Pairs: {
    // Lane i of a pair is the pair of column i; a bf16 is the upper half of an
    // f32.
    auto words = VectorType::get(lanes, b.getI32Type());
    auto constant = [&](uint32_t value) -> Value {
      return arith::ConstantOp::create(
          b, DenseElementsAttr::get(words, APInt(32, value)));
    };
    auto pairOf = [&](int64_t v) -> Value {
      return vector::BitCastOp::create(b, words, loadWeights(operands, at, v));
    };
    auto asFloats = [&](Value words) -> Value {
      return vector::BitCastOp::create(b, accumulator, words);
    };
    multiplyAll(
        [&](int64_t v) {
          return asFloats(arith::ShLIOp::create(b, pairOf(v), constant(16)));
        },
        0);
    if (isHalf)
      break;
    multiplyAll(
        [&](int64_t v) {
          return asFloats(
              arith::AndIOp::create(b, pairOf(v), constant(0xffff0000)));
        },
        1);
    break;
  }
  case GemmStep::Select:
    llvm_unreachable("done above");
  case GemmStep::Tiles:
    llvm_unreachable("in GemmTiles.cpp");
  case GemmStep::Dot: {
    auto words = VectorType::get(lanes, b.getI32Type());
    auto halves = VectorType::get(2 * lanes, b.getBF16Type());
    SmallVector<Value> weights;
    for (int64_t v = 0; v < vectors; ++v)
      weights.push_back(loadWeights(operands, at, v));
    for (size_t row = 0; row < operands.rows.size(); ++row) {
      Value element = elementOf(row, 0), word;
      if (isHalf) {
        word = arith::ExtUIOp::create(
            b, b.getI32Type(), memref::LoadOp::create(b, input, element));
      } else {
        Value pair = vector::LoadOp::create(
            b, VectorType::get(2, b.getI16Type()), input, element);
        word = vector::ExtractOp::create(
            b,
            vector::BitCastOp::create(b, VectorType::get(1, b.getI32Type()),
                                      pair),
            0);
      }
      Value factor = vector::BitCastOp::create(b, halves, splat(word, words));
      for (int64_t v = 0; v < vectors; ++v) {
        Value &sum = next[row * vectors + v];
        sum = dotPairs(b, sum, factor, weights[v]);
      }
    }
    break;
  }
  }
  return next;
}

} // namespace coppice::cpu
