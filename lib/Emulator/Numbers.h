//===- Numbers.h - registers as numbers -------------------------*- C++ -*-===//
//
// A register is 64 bits. Integers are zero-extended, floats are their bits.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_EMULATOR_NUMBERS_H
#define COPPICE_LIB_EMULATOR_NUMBERS_H

#include "llvm/ADT/bit.h"
#include <cmath>
#include <cstdint>

namespace coppice::emulator {

inline uint64_t truncate(uint64_t value, unsigned bits) {
  return bits >= 64 ? value : value & ((uint64_t(1) << bits) - 1);
}

inline int64_t signExtend(uint64_t value, unsigned bits) {
  if (bits >= 64)
    return static_cast<int64_t>(value);
  return static_cast<int64_t>(value << (64 - bits)) >> (64 - bits);
}

inline float asFloat(uint64_t bits) {
  return llvm::bit_cast<float>(static_cast<uint32_t>(bits));
}
inline uint64_t bitsOf(float value) { return llvm::bit_cast<uint32_t>(value); }
inline double asDouble(uint64_t bits) { return llvm::bit_cast<double>(bits); }
inline uint64_t bitsOf(double value) { return llvm::bit_cast<uint64_t>(value); }

inline float bf16ToFloat(uint64_t bits) { return asFloat(bits << 16); }

/// To nearest, ties to even.
inline uint64_t floatToBF16(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return 0x7fff;
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

float halfToFloat(uint64_t bits);
/// To nearest, ties to even.
uint64_t floatToHalf(float value);

/// What `.ftz` does to operands and results: no subnormal numbers.
template <typename Number> Number flush(Number value) {
  return std::fpclassify(value) == FP_SUBNORMAL
             ? std::copysign(Number(0), value)
             : value;
}

} // namespace coppice::emulator

#endif // COPPICE_LIB_EMULATOR_NUMBERS_H
