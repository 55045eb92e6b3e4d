//===- Arithmetic.cpp - integers, floats, comparisons, conversions --------===//
//
// Element by element on vectors. Floats are IEEE and round to nearest;
// fast-math flags are not used.
//
//===----------------------------------------------------------------------===//

#include "Floats.h"
#include "ThreadBlock.h"
#include "llvm/ADT/APFloat.h"

using namespace mlir;

namespace coppice::emulator {
namespace {

//===--- Integers ---------------------------------------------------------===//

template <auto function>
Step runInteger(ThreadBlock &, Thread &thread, const Instruction &at) {
  for (uint32_t i = 0; i < at.count; ++i)
    thread[at.result + i] =
        truncate(function(thread[at.operands[0] + i],
                          thread[at.operands[1] + i], at.scalar.bits),
                 at.scalar.bits);
  return Step::Next;
}

template <auto function>
LogicalResult integer(FunctionDecoder &decoder, Operation *op) {
  FailureOr<Scalar> scalar = decoder.scalarOf(op, op->getOperand(0));
  if (failed(scalar))
    return failure();
  decoder.emit(op, runInteger<function>).scalar = *scalar;
  return success();
}

template <auto function>
Step runDivision(ThreadBlock &block, Thread &thread, const Instruction &at) {
  for (uint32_t i = 0; i < at.count; ++i)
    if (thread[at.operands[1] + i] == 0) {
      block.fault(Fault::Kind::Invalid, thread, at,
                  "expected a divisor that is not zero, found zero");
      std::fill_n(&thread[at.result], at.count, 0);
      return Step::Next;
    }
  return runInteger<function>(block, thread, at);
}

template <auto function>
LogicalResult division(FunctionDecoder &decoder, Operation *op) {
  FailureOr<Scalar> scalar = decoder.scalarOf(op, op->getOperand(0));
  if (failed(scalar))
    return failure();
  decoder.emit(op, runDivision<function>).scalar = *scalar;
  return success();
}

// A divisor of -1 is apart: the smallest number has no negative.
uint64_t signedQuotient(uint64_t a, uint64_t b, unsigned bits) {
  int64_t divisor = signExtend(b, bits);
  return divisor == -1 ? -a : signExtend(a, bits) / divisor;
}
uint64_t signedRemainder(uint64_t a, uint64_t b, unsigned bits) {
  int64_t divisor = signExtend(b, bits);
  return divisor == -1 ? 0 : signExtend(a, bits) % divisor;
}

Step compareIntegers(ThreadBlock &, Thread &thread, const Instruction &at) {
  for (uint32_t i = 0; i < at.count; ++i) {
    uint64_t a = thread[at.operands[0] + i], b = thread[at.operands[1] + i];
    int64_t signedA = signExtend(a, at.scalar.bits);
    int64_t signedB = signExtend(b, at.scalar.bits);
    bool result = false;
    switch (static_cast<LLVM::ICmpPredicate>(at.immediates[0])) {
    case LLVM::ICmpPredicate::eq:
      result = a == b;
      break;
    case LLVM::ICmpPredicate::ne:
      result = a != b;
      break;
    case LLVM::ICmpPredicate::slt:
      result = signedA < signedB;
      break;
    case LLVM::ICmpPredicate::sle:
      result = signedA <= signedB;
      break;
    case LLVM::ICmpPredicate::sgt:
      result = signedA > signedB;
      break;
    case LLVM::ICmpPredicate::sge:
      result = signedA >= signedB;
      break;
    case LLVM::ICmpPredicate::ult:
      result = a < b;
      break;
    case LLVM::ICmpPredicate::ule:
      result = a <= b;
      break;
    case LLVM::ICmpPredicate::ugt:
      result = a > b;
      break;
    case LLVM::ICmpPredicate::uge:
      result = a >= b;
      break;
    }
    thread[at.result + i] = result;
  }
  return Step::Next;
}

LogicalResult icmp(FunctionDecoder &decoder, Operation *op) {
  auto compare = cast<LLVM::ICmpOp>(op);
  FailureOr<Scalar> scalar = decoder.scalarOf(op, compare.getLhs());
  if (failed(scalar))
    return failure();
  Instruction &at = decoder.emit(op, compareIntegers);
  at.scalar = *scalar;
  at.immediates = {static_cast<int64_t>(compare.getPredicate())};
  return success();
}

//===--- Floats -----------------------------------------------------------===//

template <auto function>
Step runFloat(ThreadBlock &, Thread &thread, const Instruction &at) {
  for (uint32_t i = 0; i < at.count; ++i)
    thread[at.result + i] =
        applyFloat(at.scalar.kind, function, thread[at.operands[0] + i],
                   thread[at.operands[1] + i]);
  return Step::Next;
}

template <auto function>
LogicalResult floating(FunctionDecoder &decoder, Operation *op) {
  FailureOr<Scalar> scalar = decoder.scalarOf(op, op->getOperand(0));
  if (failed(scalar))
    return failure();
  decoder.emit(op, runFloat<function>).scalar = *scalar;
  return success();
}

Step negate(ThreadBlock &, Thread &thread, const Instruction &at) {
  for (uint32_t i = 0; i < at.count; ++i)
    thread[at.result + i] =
        thread[at.operands[0] + i] ^ uint64_t(1) << (at.scalar.bits - 1);
  return Step::Next;
}

LogicalResult fneg(FunctionDecoder &decoder, Operation *op) {
  FailureOr<Scalar> scalar = decoder.scalarOf(op, op->getOperand(0));
  if (failed(scalar))
    return failure();
  decoder.emit(op, negate).scalar = *scalar;
  return success();
}

double widen(Scalar::Kind kind, uint64_t bits) {
  return kind == Scalar::F64 ? asDouble(bits) : toFloat(kind, bits);
}

Step compareFloats(ThreadBlock &, Thread &thread, const Instruction &at) {
  using LLVM::FCmpPredicate;
  for (uint32_t i = 0; i < at.count; ++i) {
    double a = widen(at.scalar.kind, thread[at.operands[0] + i]);
    double b = widen(at.scalar.kind, thread[at.operands[1] + i]);
    bool unordered = std::isnan(a) || std::isnan(b);
    bool result = false;
    switch (static_cast<FCmpPredicate>(at.immediates[0])) {
    case FCmpPredicate::_false:
      break;
    case FCmpPredicate::_true:
      result = true;
      break;
    case FCmpPredicate::ord:
      result = !unordered;
      break;
    case FCmpPredicate::uno:
      result = unordered;
      break;
    case FCmpPredicate::oeq:
      result = a == b;
      break;
    case FCmpPredicate::ueq:
      result = unordered || a == b;
      break;
    case FCmpPredicate::one:
      result = !unordered && a != b;
      break;
    case FCmpPredicate::une:
      result = unordered || a != b;
      break;
    case FCmpPredicate::ogt:
      result = a > b;
      break;
    case FCmpPredicate::ugt:
      result = unordered || a > b;
      break;
    case FCmpPredicate::oge:
      result = a >= b;
      break;
    case FCmpPredicate::uge:
      result = unordered || a >= b;
      break;
    case FCmpPredicate::olt:
      result = a < b;
      break;
    case FCmpPredicate::ult:
      result = unordered || a < b;
      break;
    case FCmpPredicate::ole:
      result = a <= b;
      break;
    case FCmpPredicate::ule:
      result = unordered || a <= b;
      break;
    }
    thread[at.result + i] = result;
  }
  return Step::Next;
}

LogicalResult fcmp(FunctionDecoder &decoder, Operation *op) {
  auto compare = cast<LLVM::FCmpOp>(op);
  FailureOr<Scalar> scalar = decoder.scalarOf(op, compare.getLhs());
  if (failed(scalar))
    return failure();
  Instruction &at = decoder.emit(op, compareFloats);
  at.scalar = *scalar;
  at.immediates = {static_cast<int64_t>(compare.getPredicate())};
  return success();
}

//===--- Conversions ------------------------------------------------------===//

uint64_t fromDouble(Scalar::Kind kind, double value) {
  if (kind == Scalar::F64)
    return bitsOf(value);
  if (kind == Scalar::F32)
    return bitsOf(static_cast<float>(value));
  llvm::APFloat number(value);
  bool lost;
  number.convert(kind == Scalar::F16 ? llvm::APFloat::IEEEhalf()
                                     : llvm::APFloat::BFloat(),
                 llvm::APFloat::rmNearestTiesToEven, &lost);
  return number.bitcastToAPInt().getZExtValue();
}

/// `function` takes the bits and both types.
template <auto function>
Step runConversion(ThreadBlock &, Thread &thread, const Instruction &at) {
  for (uint32_t i = 0; i < at.count; ++i)
    thread[at.result + i] = truncate(
        function(thread[at.operands[0] + i], at.scalar, at.to), at.to.bits);
  return Step::Next;
}

template <auto function>
LogicalResult conversion(FunctionDecoder &decoder, Operation *op) {
  FailureOr<Scalar> from = decoder.scalarOf(op, op->getOperand(0));
  FailureOr<Scalar> to = decoder.scalarOf(op, op->getResult(0));
  if (failed(from) || failed(to))
    return failure();
  Instruction &at = decoder.emit(op, runConversion<function>);
  at.scalar = *from;
  at.to = *to;
  return success();
}

uint64_t keepBits(uint64_t bits, Scalar, Scalar) { return bits; }

uint64_t extendSign(uint64_t bits, Scalar from, Scalar) {
  return signExtend(bits, from.bits);
}

uint64_t convertFloat(uint64_t bits, Scalar from, Scalar to) {
  return from.kind == Scalar::F64 || to.kind == Scalar::F64
             ? fromDouble(to.kind, widen(from.kind, bits))
             : fromFloat(to.kind, toFloat(from.kind, bits));
}

uint64_t signedToFloat(uint64_t bits, Scalar from, Scalar to) {
  int64_t value = signExtend(bits, from.bits);
  return to.kind == Scalar::F64 ? bitsOf(static_cast<double>(value))
                                : fromFloat(to.kind, static_cast<float>(value));
}

uint64_t unsignedToFloat(uint64_t bits, Scalar, Scalar to) {
  return to.kind == Scalar::F64 ? bitsOf(static_cast<double>(bits))
                                : fromFloat(to.kind, static_cast<float>(bits));
}

// As PTX does it: NaN becomes 0, what is too large the nearest that is not.
uint64_t floatToSigned(uint64_t bits, Scalar from, Scalar to) {
  double value = widen(from.kind, bits), limit = std::ldexp(1.0, to.bits - 1);
  if (std::isnan(value))
    return 0;
  if (value >= limit)
    return (uint64_t(1) << (to.bits - 1)) - 1;
  if (value < -limit)
    return uint64_t(1) << (to.bits - 1);
  return static_cast<int64_t>(value);
}

uint64_t floatToUnsigned(uint64_t bits, Scalar from, Scalar to) {
  double value = widen(from.kind, bits);
  if (std::isnan(value) || value < 0)
    return 0;
  return value >= std::ldexp(1.0, to.bits) ? ~uint64_t(0)
                                           : static_cast<uint64_t>(value);
}

uint64_t castSpace(uint64_t address, Scalar from, Scalar to) {
  auto windowOf = [](unsigned space) -> uint64_t {
    return space == kShared  ? kSharedWindow
           : space == kLocal ? kLocalWindow
                             : 0;
  };
  if (to.space == kGeneric)
    return address | windowOf(from.space);
  return from.space == kGeneric ? address & ~windowOf(to.space) : address;
}

//===--- Choices ----------------------------------------------------------===//

Step select(ThreadBlock &, Thread &thread, const Instruction &at) {
  bool each = at.immediates[0]; // a condition for each element
  for (uint32_t i = 0; i < at.count; ++i)
    thread[at.result + i] = thread[at.operands[0] + (each ? i : 0)] & 1
                                ? thread[at.operands[1] + i]
                                : thread[at.operands[2] + i];
  return Step::Next;
}

LogicalResult decodeSelect(FunctionDecoder &decoder, Operation *op) {
  decoder.emit(op, select).immediates = {
      isa<VectorType>(op->getOperand(0).getType())};
  return success();
}

Step copyRegisters(ThreadBlock &, Thread &thread, const Instruction &at) {
  std::copy_n(&thread[at.operands[0]], at.count, &thread[at.result]);
  return Step::Next;
}

LogicalResult decodeCopy(FunctionDecoder &decoder, Operation *op) {
  decoder.emit(op, copyRegisters);
  return success();
}

// cvt.rn.bf16x2.f32 and its like: the first operand becomes the upper half.
template <Scalar::Kind kind>
Step packPair(ThreadBlock &, Thread &thread, const Instruction &at) {
  thread[at.result] = fromFloat(kind, asFloat(thread[at.operands[0]])) << 16 |
                      fromFloat(kind, asFloat(thread[at.operands[1]]));
  return Step::Next;
}

template <Scalar::Kind kind>
LogicalResult decodePackPair(FunctionDecoder &decoder, Operation *op) {
  if (op->getNumOperands() != 2 || !op->getOperand(0).getType().isF32() ||
      !op->getOperand(1).getType().isF32() || op->getNumResults() != 1 ||
      !op->getResult(0).getType().isInteger(32))
    return decoder.error(op) << "expected (f32, f32) -> i32";
  decoder.emit(op, packPair<kind>);
  return success();
}

} // namespace

void addArithmetic(OpTable &table) {
  table["llvm.add"] =
      integer<[](uint64_t a, uint64_t b, unsigned) { return a + b; }>;
  table["llvm.sub"] =
      integer<[](uint64_t a, uint64_t b, unsigned) { return a - b; }>;
  table["llvm.mul"] =
      integer<[](uint64_t a, uint64_t b, unsigned) { return a * b; }>;
  table["llvm.and"] =
      integer<[](uint64_t a, uint64_t b, unsigned) { return a & b; }>;
  table["llvm.or"] =
      integer<[](uint64_t a, uint64_t b, unsigned) { return a | b; }>;
  table["llvm.xor"] =
      integer<[](uint64_t a, uint64_t b, unsigned) { return a ^ b; }>;
  table["llvm.shl"] =
      integer<[](uint64_t a, uint64_t b, unsigned bits) -> uint64_t {
        return b >= bits ? 0 : a << b;
      }>;
  table["llvm.lshr"] =
      integer<[](uint64_t a, uint64_t b, unsigned bits) -> uint64_t {
        return b >= bits ? 0 : (a >> b);
      }>;
  table["llvm.ashr"] =
      integer<[](uint64_t a, uint64_t b, unsigned bits) -> uint64_t {
        return (signExtend(a, bits) >> std::min<uint64_t>(b, bits - 1));
      }>;
  table["llvm.udiv"] =
      division<[](uint64_t a, uint64_t b, unsigned) { return a / b; }>;
  table["llvm.urem"] =
      division<[](uint64_t a, uint64_t b, unsigned) { return a % b; }>;
  table["llvm.sdiv"] = division<signedQuotient>;
  table["llvm.srem"] = division<signedRemainder>;
  table["llvm.intr.umin"] =
      integer<[](uint64_t a, uint64_t b, unsigned) { return std::min(a, b); }>;
  table["llvm.intr.umax"] =
      integer<[](uint64_t a, uint64_t b, unsigned) { return std::max(a, b); }>;
  table["llvm.intr.smin"] = integer<[](uint64_t a, uint64_t b, unsigned bits) {
    return (signExtend(a, bits) < signExtend(b, bits)) ? a : b;
  }>;
  table["llvm.intr.smax"] = integer<[](uint64_t a, uint64_t b, unsigned bits) {
    return (signExtend(a, bits) > signExtend(b, bits)) ? a : b;
  }>;
  table["llvm.icmp"] = icmp;

  table["llvm.fadd"] = floating<[](auto a, auto b) { return a + b; }>;
  table["llvm.fsub"] = floating<[](auto a, auto b) { return a - b; }>;
  table["llvm.fmul"] = floating<[](auto a, auto b) { return a * b; }>;
  table["llvm.fdiv"] = floating<[](auto a, auto b) { return a / b; }>;
  table["llvm.frem"] = floating<[](auto a, auto b) { return std::fmod(a, b); }>;
  table["llvm.fneg"] = fneg;
  table["llvm.fcmp"] = fcmp;

  table["llvm.trunc"] = conversion<keepBits>;
  table["llvm.zext"] = conversion<keepBits>;
  table["llvm.sext"] = conversion<extendSign>;
  table["llvm.inttoptr"] = conversion<keepBits>;
  table["llvm.ptrtoint"] = conversion<keepBits>;
  table["llvm.addrspacecast"] = conversion<castSpace>;
  table["llvm.fpext"] = conversion<convertFloat>;
  table["llvm.fptrunc"] = conversion<convertFloat>;
  table["llvm.sitofp"] = conversion<signedToFloat>;
  table["llvm.uitofp"] = conversion<unsignedToFloat>;
  table["llvm.fptosi"] = conversion<floatToSigned>;
  table["llvm.fptoui"] = conversion<floatToUnsigned>;

  table["llvm.select"] = decodeSelect;
  table["llvm.freeze"] = decodeCopy;
  table["llvm.inline_asm cvt.rn.bf16x2.f32 $0, $1, $2;"] =
      decodePackPair<Scalar::BF16>;
  table["llvm.inline_asm cvt.rn.f16x2.f32 $0, $1, $2;"] =
      decodePackPair<Scalar::F16>;
}

} // namespace coppice::emulator
