//===- Math.cpp - functions of numbers ------------------------------------===//
//
// LLVM's intrinsics and the GPU's approximations. The latter are computed as
// well as the host can and flushed where they are: a GPU's last bits differ
// (PTX ISA gives 2^-22 or so), so kernels that use them are compared with a
// tolerance.
//
//===----------------------------------------------------------------------===//

#include "Floats.h"
#include "ThreadBlock.h"

using namespace mlir;

namespace coppice::emulator {
namespace {

//===--- Element by element -----------------------------------------------===//

template <auto function, unsigned arity>
Step runFloats(ThreadBlock &, Thread &thread, const Instruction &at) {
  for (uint32_t i = 0; i < at.count; ++i) {
    auto operand = [&](unsigned index) {
      return thread[at.operands[index] + i];
    };
    uint64_t &result = thread[at.result + i];
    if constexpr (arity == 1)
      result = applyFloat(at.scalar.kind, function, operand(0));
    else if constexpr (arity == 2)
      result = applyFloat(at.scalar.kind, function, operand(0), operand(1));
    else
      result = applyFloat(at.scalar.kind, function, operand(0), operand(1),
                          operand(2));
  }
  return Step::Next;
}

template <unsigned arity, auto function>
LogicalResult floats(FunctionDecoder &decoder, Operation *op) {
  if (op->getNumOperands() != arity || op->getNumResults() != 1)
    return decoder.error(op)
           << "expected " << arity << " operands and a result";
  FailureOr<Scalar> scalar = decoder.scalarOf(op, op->getOperand(0));
  if (failed(scalar))
    return failure();
  if (!isFloat(*scalar) ||
      op->getOperand(0).getType() != op->getResult(0).getType())
    return decoder.error(op)
           << "expected floats, found " << op->getOperand(0).getType();
  decoder.emit(op, runFloats<function, arity>).scalar = *scalar;
  return success();
}

template <auto function>
Step runBits(ThreadBlock &, Thread &thread, const Instruction &at) {
  for (uint32_t i = 0; i < at.count; ++i)
    thread[at.result + i] = truncate(
        function(thread[at.operands[0] + i], at.scalar.bits), at.scalar.bits);
  return Step::Next;
}

template <auto function>
LogicalResult bits(FunctionDecoder &decoder, Operation *op) {
  FailureOr<Scalar> scalar = decoder.scalarOf(op, op->getOperand(0));
  if (failed(scalar))
    return failure();
  decoder.emit(op, runBits<function>).scalar = *scalar;
  return success();
}

// IEEE 754-2019 maximum and minimum: NaN wins, and -0 is below +0.
template <typename Number> Number maximum(Number a, Number b) {
  if (std::isnan(a) || std::isnan(b))
    return std::numeric_limits<Number>::quiet_NaN();
  if (a == b)
    return std::signbit(a) ? b : a;
  return a > b ? a : b;
}

//===--- Across a vector --------------------------------------------------===//

// Immediate: whether the first operand is where it starts.
template <auto function>
Step runReduction(ThreadBlock &, Thread &thread, const Instruction &at) {
  bool hasStart = at.immediates[0];
  uint32_t count = at.immediates[1], vector = at.operands[hasStart];
  uint64_t result = thread[hasStart ? at.operands[0] : vector];
  for (uint32_t i = hasStart ? 0 : 1; i < count; ++i)
    result = function(at.scalar, result, thread[vector + i]);
  thread[at.result] = result;
  return Step::Next;
}

template <auto function>
LogicalResult reduction(FunctionDecoder &decoder, Operation *op) {
  Value vector = op->getOperand(op->getNumOperands() - 1);
  FailureOr<Scalar> scalar = decoder.scalarOf(op, vector);
  if (failed(scalar))
    return failure();
  Instruction &at = decoder.emit(op, runReduction<function>);
  at.scalar = *scalar;
  at.immediates = {op->getNumOperands() == 2,
                   cast<VectorType>(vector.getType()).getNumElements()};
  return success();
}

template <auto function>
constexpr auto onFloats = [](Scalar scalar, uint64_t a, uint64_t b) {
  return applyFloat(scalar.kind, function, a, b);
};

template <auto function>
constexpr auto onIntegers = [](Scalar scalar, uint64_t a, uint64_t b) {
  return truncate(function(a, b, scalar.bits), scalar.bits);
};

void addReductions(OpTable &table) {
  auto name = [](StringRef kind) {
    return ("llvm.intr.vector.reduce." + kind).str();
  };
  table[name("fadd")] =
      reduction<onFloats<[](auto a, auto b) { return a + b; }>>;
  table[name("fmul")] =
      reduction<onFloats<[](auto a, auto b) { return a * b; }>>;
  table[name("fmax")] =
      reduction<onFloats<[](auto a, auto b) { return std::fmax(a, b); }>>;
  table[name("fmin")] =
      reduction<onFloats<[](auto a, auto b) { return std::fmin(a, b); }>>;
  table[name("fmaximum")] =
      reduction<onFloats<[](auto a, auto b) { return maximum(a, b); }>>;
  table[name("fminimum")] =
      reduction<onFloats<[](auto a, auto b) { return -maximum(-a, -b); }>>;
  table[name("add")] = reduction<
      onIntegers<[](uint64_t a, uint64_t b, unsigned) { return a + b; }>>;
  table[name("mul")] = reduction<
      onIntegers<[](uint64_t a, uint64_t b, unsigned) { return a * b; }>>;
  table[name("and")] = reduction<
      onIntegers<[](uint64_t a, uint64_t b, unsigned) { return a & b; }>>;
  table[name("or")] = reduction<
      onIntegers<[](uint64_t a, uint64_t b, unsigned) { return a | b; }>>;
  table[name("xor")] = reduction<
      onIntegers<[](uint64_t a, uint64_t b, unsigned) { return a ^ b; }>>;
  table[name("umax")] =
      reduction<onIntegers<[](uint64_t a, uint64_t b, unsigned) {
        return std::max(a, b);
      }>>;
  table[name("umin")] =
      reduction<onIntegers<[](uint64_t a, uint64_t b, unsigned) {
        return std::min(a, b);
      }>>;
  table[name("smax")] =
      reduction<onIntegers<[](uint64_t a, uint64_t b, unsigned bits) {
        return (signExtend(a, bits) > signExtend(b, bits)) ? a : b;
      }>>;
  table[name("smin")] =
      reduction<onIntegers<[](uint64_t a, uint64_t b, unsigned bits) {
        return (signExtend(a, bits) < signExtend(b, bits)) ? a : b;
      }>>;
}

void addIntrinsics(OpTable &table) {
  auto name = [](StringRef function) {
    return ("llvm.intr." + function).str();
  };
  for (StringRef fused : {"fma", "fmuladd"})
    table[name(fused)] =
        floats<3, [](auto a, auto b, auto c) { return std::fma(a, b, c); }>;
  table[name("exp")] = floats<1, [](auto x) { return std::exp(x); }>;
  table[name("exp2")] = floats<1, [](auto x) { return std::exp2(x); }>;
  table[name("log")] = floats<1, [](auto x) { return std::log(x); }>;
  table[name("log2")] = floats<1, [](auto x) { return std::log2(x); }>;
  table[name("sqrt")] = floats<1, [](auto x) { return std::sqrt(x); }>;
  table[name("sin")] = floats<1, [](auto x) { return std::sin(x); }>;
  table[name("cos")] = floats<1, [](auto x) { return std::cos(x); }>;
  table[name("tanh")] = floats<1, [](auto x) { return std::tanh(x); }>;
  table[name("fabs")] = floats<1, [](auto x) { return std::fabs(x); }>;
  table[name("floor")] = floats<1, [](auto x) { return std::floor(x); }>;
  table[name("ceil")] = floats<1, [](auto x) { return std::ceil(x); }>;
  table[name("trunc")] = floats<1, [](auto x) { return std::trunc(x); }>;
  table[name("round")] = floats<1, [](auto x) { return std::round(x); }>;
  for (StringRef even : {"roundeven", "rint", "nearbyint"})
    table[name(even)] = floats<1, [](auto x) { return std::nearbyint(x); }>;
  table[name("copysign")] =
      floats<2, [](auto a, auto b) { return std::copysign(a, b); }>;
  table[name("pow")] = floats<2, [](auto a, auto b) { return std::pow(a, b); }>;
  table[name("maxnum")] =
      floats<2, [](auto a, auto b) { return std::fmax(a, b); }>;
  table[name("minnum")] =
      floats<2, [](auto a, auto b) { return std::fmin(a, b); }>;
  table[name("maximum")] =
      floats<2, [](auto a, auto b) { return maximum(a, b); }>;
  table[name("minimum")] =
      floats<2, [](auto a, auto b) { return -maximum(-a, -b); }>;

  table[name("abs")] = bits<[](uint64_t x, unsigned bits) -> uint64_t {
    return signExtend(x, bits) < 0 ? -x : x;
  }>;
  table[name("ctpop")] =
      bits<[](uint64_t x, unsigned) -> uint64_t { return llvm::popcount(x); }>;
  table[name("ctlz")] = bits<[](uint64_t x, unsigned bits) -> uint64_t {
    return llvm::countl_zero(x) - (64 - bits);
  }>;
  table[name("cttz")] = bits<[](uint64_t x, unsigned bits) -> uint64_t {
    return std::min<unsigned>(llvm::countr_zero(x), bits);
  }>;
}

void addApproximations(OpTable &table) {
  // The names of LLVM's intrinsics; some come with and without the type.
  auto add = [&](StringRef function, Decode decode) {
    for (StringRef suffix : {"", "32"})
      table[("llvm.call_intrinsic llvm.nvvm." + function + suffix).str()] =
          decode;
  };
  add("ex2.approx.ftz.f",
      floats<1, [](auto x) { return flush(std::exp2(flush(x))); }>);
  add("lg2.approx.ftz.f",
      floats<1, [](auto x) { return flush(std::log2(flush(x))); }>);
  add("rsqrt.approx.ftz.f",
      floats<1, [](auto x) { return flush(1 / std::sqrt(flush(x))); }>);
  add("sqrt.approx.ftz.f",
      floats<1, [](auto x) { return flush(std::sqrt(flush(x))); }>);
  add("sin.approx.ftz.f",
      floats<1, [](auto x) { return flush(std::sin(flush(x))); }>);
  add("cos.approx.ftz.f",
      floats<1, [](auto x) { return flush(std::cos(flush(x))); }>);
  add("ex2.approx.f", floats<1, [](auto x) { return std::exp2(x); }>);
  add("div.approx.ftz.f",
      floats<2, [](auto a, auto b) { return flush(flush(a) / flush(b)); }>);
  table["nvvm.rcp.approx.ftz.f"] =
      floats<1, [](auto x) { return flush(1 / flush(x)); }>;

  table["llvm.inline_asm ex2.approx.ftz.f32 $0, $1;"] =
      table["llvm.call_intrinsic llvm.nvvm.ex2.approx.ftz.f32"];
  table["llvm.inline_asm tanh.approx.f32 $0, $1;"] =
      floats<1, [](auto x) { return std::tanh(x); }>;
}

} // namespace

void addMath(OpTable &table) {
  addIntrinsics(table);
  addApproximations(table);
  addReductions(table);
}

} // namespace coppice::emulator
