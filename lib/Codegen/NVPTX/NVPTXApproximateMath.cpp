//===- NVPTXApproximateMath.cpp - functions without libdevice -------------===//
//
// In: ops of `math` on numbers. Out: what PTX has instructions for, or
// polynomials.
//
// ex2.approx and lg2.approx have an error of about 2^-22. A product by log2(e)
// in f32 adds what rounding x log2(e) adds: about 2^-24 |x|, so that exp(x) of
// an x around -20, which no softmax can tell from 0, has an error of 1e-6.
//
// sin.approx is only good near 0. The reduction here is by multiples of pi/2 in
// f64, exact to f32 for all positions that a model could have, and then the
// polynomials of Cephes (sinf, cosf) on [-pi/4, pi/4].
//
//===----------------------------------------------------------------------===//

#include "coppice/Codegen/NVPTX/Passes.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace coppice {

#define GEN_PASS_DEF_NVPTXAPPROXIMATEMATH
#include "coppice/Codegen/NVPTX/Passes.h.inc"

namespace {

Value constant(ImplicitLocOpBuilder &b, Type type, double value) {
  return arith::ConstantOp::create(b, b.getFloatAttr(type, value));
}

Value instruction(ImplicitLocOpBuilder &b, StringRef name, Value x) {
  return LLVM::CallIntrinsicOp::create(b, x.getType(), b.getStringAttr(name),
                                       ValueRange{x})
      .getResult(0);
}

Value exponential2(ImplicitLocOpBuilder &b, Value x) {
  return instruction(b, "llvm.nvvm.ex2.approx.ftz.f32", x);
}
Value exponential(ImplicitLocOpBuilder &b, Value x) {
  return exponential2(
      b, arith::MulFOp::create(b, x, constant(b, x.getType(), M_LOG2E)));
}
Value logarithm2(ImplicitLocOpBuilder &b, Value x) {
  return instruction(b, "llvm.nvvm.lg2.approx.ftz.f", x);
}
Value logarithm(ImplicitLocOpBuilder &b, Value x) {
  return arith::MulFOp::create(b, logarithm2(b, x),
                               constant(b, x.getType(), M_LN2));
}
Value inverseRoot(ImplicitLocOpBuilder &b, Value x) {
  return arith::DivFOp::create(b, constant(b, x.getType(), 1),
                               math::SqrtOp::create(b, x));
}

/// A polynomial with the highest coefficient first.
Value polynomial(ImplicitLocOpBuilder &b, Value x, ArrayRef<double> factors) {
  Value sum = constant(b, x.getType(), factors.front());
  for (double factor : factors.drop_front())
    sum = LLVM::FMAOp::create(b, sum, x, constant(b, x.getType(), factor));
  return sum;
}

/// sin(x + quarters * pi/2).
Value sine(ImplicitLocOpBuilder &b, Value x, int64_t quarters) {
  Type f32 = b.getF32Type(), f64 = b.getF64Type(), i32 = b.getI32Type();
  auto integer = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
  };
  // pi/2 in two parts.
  constexpr double kHigh = 1.57079632679489655800e+00;
  constexpr double kLow = 6.12323399573676603587e-17;
  Value wide = arith::ExtFOp::create(b, f64, x);
  Value multiple = LLVM::RintOp::create(
      b, arith::MulFOp::create(b, wide, constant(b, f64, M_2_PI)));
  Value rest = LLVM::FMAOp::create(b, multiple, constant(b, f64, -kHigh), wide);
  rest = LLVM::FMAOp::create(b, multiple, constant(b, f64, -kLow), rest);
  Value r = arith::TruncFOp::create(b, f32, rest);
  Value quarter = arith::AddIOp::create(
      b, arith::FPToSIOp::create(b, i32, multiple), integer(quarters));

  Value square = arith::MulFOp::create(b, r, r);
  Value sinOfRest = LLVM::FMAOp::create(
      b, arith::MulFOp::create(b, r, square),
      polynomial(b, square,
                 {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1}),
      r);
  Value cosOfRest = polynomial(b, square,
                               {2.443315711809948e-5, -1.388731625493765e-3,
                                4.166664568298827e-2, -0.5, 1.0});
  auto isSet = [&](int64_t bit) -> Value {
    return arith::CmpIOp::create(
        b, arith::CmpIPredicate::ne,
        arith::AndIOp::create(b, quarter, integer(bit)), integer(0));
  };
  Value value = arith::SelectOp::create(b, isSet(1), cosOfRest, sinOfRest);
  return arith::SelectOp::create(b, isSet(2), arith::NegFOp::create(b, value),
                                 value);
}

/// Rewrites a function of one number, computed in f32.
template <typename OpT, typename Function>
struct Rewrite : OpRewritePattern<OpT> {
  Rewrite(MLIRContext *context, Function function)
      : OpRewritePattern<OpT>(context), function(function) {}

  LogicalResult matchAndRewrite(OpT op,
                                PatternRewriter &rewriter) const override {
    auto type = dyn_cast<FloatType>(op.getType());
    if (!type || type.getWidth() > 32)
      return rewriter.notifyMatchFailure(op, "not a number of up to 32 bits");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Value x = op.getOperand();
    if (!type.isF32())
      x = arith::ExtFOp::create(b, b.getF32Type(), x);
    Value value = function(b, x);
    if (!type.isF32())
      value = arith::TruncFOp::create(b, type, value);
    rewriter.replaceOp(op, value);
    return success();
  }

  Function function;
};

template <typename OpT, typename Function>
void add(RewritePatternSet &patterns, Function function) {
  patterns.add(std::make_unique<Rewrite<OpT, Function>>(patterns.getContext(),
                                                        function));
}

struct NVPTXApproximateMath
    : impl::NVPTXApproximateMathBase<NVPTXApproximateMath> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateMathPolynomialApproximationPatterns(patterns, [](StringRef name) {
      return name == "math.erf" || name == "math.tanh" ||
             name == "math.log1p" || name == "math.expm1";
    });
    add<math::ExpOp>(patterns, exponential);
    add<math::Exp2Op>(patterns, exponential2);
    add<math::LogOp>(patterns, logarithm);
    add<math::Log2Op>(patterns, logarithm2);
    add<math::RsqrtOp>(patterns, inverseRoot);
    add<math::SinOp>(patterns, [](ImplicitLocOpBuilder &b, Value x) {
      return sine(b, x, 0);
    });
    add<math::CosOp>(patterns, [](ImplicitLocOpBuilder &b, Value x) {
      return sine(b, x, 1);
    });
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace coppice
