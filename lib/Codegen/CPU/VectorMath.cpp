//===- VectorMath.cpp - arithmetic on whole vector registers --------------===//

#include "VectorMath.h"
#include "BF16Instructions.h"
#include "VectorAccess.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace coppice {

bool VectorMath::hasPairProducts() const {
  return target.isa == CPUTarget::ISA::AVX512_BF16;
}

VectorType VectorMath::f32s() const {
  return VectorType::get(lanes(), b.getF32Type());
}

Value VectorMath::call(Type type, StringRef intrinsic, ValueRange args) {
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(intrinsic),
                                       args)
      .getResult(0);
}

Value VectorMath::constant(double value, VectorType type) {
  Type element = type.getElementType();
  Attribute scalar = isa<FloatType>(element)
                         ? Attribute(b.getFloatAttr(element, value))
                         : b.getIntegerAttr(element, int64_t(value));
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, scalar));
}

Value VectorMath::addPairProducts(Value sums, Value lhs, Value rhs) {
  auto pairs = VectorType::get(2 * lanes(), b.getBF16Type());
  auto asPairs = [&](Value value) -> Value {
    return value.getType() == pairs
               ? value
               : arith::BitcastOp::create(b, pairs, value).getResult();
  };
  return dotPairs(b, sums, asPairs(lhs), asPairs(rhs));
}

Value VectorMath::toBF16(Value value) { return roundToBF16(b, value); }

Value VectorMath::convert(Value value, Type element) {
  return element.isBF16() && target.roundsToBF16() &&
                 getElementTypeOrSelf(value).isF32()
             ? toBF16(value)
             : convertFloat(b, value, element);
}

Value VectorMath::maximum(Value lhs, Value rhs) {
  Value greater = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, lhs, rhs);
  return arith::SelectOp::create(b, greater, lhs, rhs);
}

// Polynomials of least relative error, by the Remez algorithm: of 2^f for f in
// [0, 1) and in [-1/2, 1/2].
static constexpr float kFloorCoarse[] = {1.0000026f, 0.69300383f, 0.24144275f,
                                         0.05201146f, 0.013534168f};
static constexpr float kFloor[] = {0.99999994f, 0.6931531f,   0.24015361f,
                                   0.05582632f, 0.008989339f, 0.0018775767f};
static constexpr float kRoundCoarse[] = {0.9999993f, 0.6931218f, 0.24024744f,
                                         0.05591786f, 0.009570102f};
static constexpr float kRound[] = {1.0000001f,  0.69314694f,  0.2402212f,
                                   0.05550713f, 0.009675541f, 0.0013276472f};

Value VectorMath::exp2(Value x, bool coarse) {
  VectorType type = f32s();
  auto evaluate = [&](Value f, ArrayRef<float> coefficients) {
    Value sum = constant(coefficients.back(), type);
    for (float next : llvm::reverse(coefficients.drop_back()))
      sum = vector::FMAOp::create(b, sum, f, constant(next, type));
    return sum;
  };
  using Coefficients = ArrayRef<float>;
  if (lanes() == 16) {
    // x - floor(x), and a product by 2^floor(x): one instruction each.
    auto i32 = [&](int64_t value) -> Value {
      return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
    };
    Value all = arith::ConstantOp::create(b, b.getI16IntegerAttr(-1));
    constexpr int64_t kRoundDown = 1, kCurrentMode = 4;
    Value f = call(type, "llvm.x86.avx512.mask.reduce.ps.512",
                   {x, i32(kRoundDown), x, all, i32(kCurrentMode)});
    Value power =
        evaluate(f, coarse ? Coefficients(kFloorCoarse) : Coefficients(kFloor));
    return call(type, "llvm.x86.avx512.mask.scalef.ps.512",
                {power, x, power, all, i32(kCurrentMode)});
  }
  // The sum with 1.5 * 2^23 has the nearest integer in its low bits. The limit
  // is the left operand, so that NaN is not lost.
  x = maximum(constant(-126.0, type), x);
  Value magic = constant(12582912.0, type);
  Value shifted = arith::AddFOp::create(b, x, magic);
  Value whole = arith::SubFOp::create(b, shifted, magic);
  Value power =
      evaluate(arith::SubFOp::create(b, x, whole),
               coarse ? Coefficients(kRoundCoarse) : Coefficients(kRound));
  auto bitsType = VectorType::get(lanes(), b.getI32Type());
  Value exponent =
      arith::ShLIOp::create(b, arith::BitcastOp::create(b, bitsType, shifted),
                            constant(23, bitsType));
  Value bits = arith::AddIOp::create(
      b, arith::BitcastOp::create(b, bitsType, power), exponent);
  return arith::BitcastOp::create(b, type, bits);
}

Value VectorMath::foldLanes(Value value,
                            llvm::function_ref<Value(Value, Value)> combine) {
  int64_t count = cast<VectorType>(value.getType()).getDimSize(0);
  for (int64_t distance = count / 2; distance > 0; distance /= 2) {
    SmallVector<int64_t> across;
    for (int64_t lane = 0; lane < count; ++lane)
      across.push_back(lane ^ distance);
    value = combine(value, vector::ShuffleOp::create(b, value, value, across));
  }
  return value;
}

Value VectorMath::maximumOfLanes(Value value) {
  return foldLanes(value,
                   [&](Value lhs, Value rhs) { return maximum(lhs, rhs); });
}

Value VectorMath::sumOfLanes(Value value) {
  return foldLanes(value, [&](Value lhs, Value rhs) -> Value {
    return arith::AddFOp::create(b, lhs, rhs);
  });
}

// Each round interleaves vector i with vector i + n/2, which turns the bits of
// (row, lane) by one place; after log2(n) rounds row and lane are exchanged.
SmallVector<Value> VectorMath::transpose(ArrayRef<Value> rows) {
  SmallVector<Value> current(rows);
  int64_t count = rows.size();
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < count / 2; ++i) {
    low.append({i, count + i});
    high.append({count / 2 + i, count + count / 2 + i});
  }
  for (int64_t done = 1; done < count; done *= 2) {
    SmallVector<Value> next;
    for (int64_t i = 0; i < count / 2; ++i)
      for (ArrayRef<int64_t> order : {low, high})
        next.push_back(vector::ShuffleOp::create(
            b, current[i], current[i + count / 2], order));
    current = std::move(next);
  }
  return current;
}

} // namespace coppice
