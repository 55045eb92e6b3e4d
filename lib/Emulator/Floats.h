//===- Floats.h - floating-point functions on registers ---------*- C++ -*-===//
//
// f16 and bf16 are computed in f32 and rounded once more, which for the four
// basic operations and the square root gives the same as rounding once
// (Figueroa 1995: f32 has more than twice their bits and two).
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_EMULATOR_FLOATS_H
#define COPPICE_LIB_EMULATOR_FLOATS_H

#include "Numbers.h"
#include "Program.h"

namespace coppice::emulator {

inline float toFloat(Scalar::Kind kind, uint64_t bits) {
  switch (kind) {
  case Scalar::F16:
    return halfToFloat(bits);
  case Scalar::BF16:
    return bf16ToFloat(bits);
  default:
    return asFloat(bits);
  }
}

inline uint64_t fromFloat(Scalar::Kind kind, float value) {
  switch (kind) {
  case Scalar::F16:
    return floatToHalf(value);
  case Scalar::BF16:
    return floatToBF16(value);
  default:
    return bitsOf(value);
  }
}

/// `function` is generic: called with floats, or with doubles for f64.
template <typename Function, typename... Bits>
uint64_t applyFloat(Scalar::Kind kind, Function function, Bits... operands) {
  if (kind == Scalar::F64)
    return bitsOf(static_cast<double>(function(asDouble(operands)...)));
  return fromFloat(kind,
                   static_cast<float>(function(toFloat(kind, operands)...)));
}

inline bool isFloat(Scalar scalar) {
  return scalar.kind != Scalar::Int && scalar.kind != Scalar::Pointer;
}

} // namespace coppice::emulator

#endif // COPPICE_LIB_EMULATOR_FLOATS_H
