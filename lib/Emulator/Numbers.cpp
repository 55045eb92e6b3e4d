//===- Numbers.cpp - registers as numbers ---------------------------------===//

#include "Numbers.h"

namespace coppice::emulator {

float halfToFloat(uint64_t bits) {
  uint32_t sign = (bits & 0x8000) << 16;
  uint32_t exponent = bits >> 10 & 0x1f, fraction = bits & 0x3ff;
  if (exponent == 0x1f)
    return asFloat(sign | 0x7f800000 | fraction << 13);
  float magnitude =
      exponent ? std::ldexp(float(fraction | 0x400), int(exponent) - 25)
               : std::ldexp(float(fraction), -24);
  return sign ? -magnitude : magnitude;
}

uint64_t floatToHalf(float value) {
  uint64_t sign = bitsOf(value) >> 16 & 0x8000;
  if (std::isnan(value))
    return 0x7fff;
  float magnitude = std::fabs(value);
  if (magnitude >= 65520.0f) // halfway from the largest to what would follow
    return sign | 0x7c00;
  int exponent;
  std::frexp(magnitude, &exponent); // magnitude in [2^(e-1), 2^e)
  // The distance of neighbours: 11 significant bits, 2^-24 below the normals.
  int unit = std::max(exponent - 11, -24);
  float steps = std::nearbyint(std::ldexp(magnitude, -unit));
  float rounded = std::ldexp(steps, unit);
  if (rounded < 6.103515625e-05f) // subnormal: 2^-24 each
    return sign | static_cast<uint64_t>(std::ldexp(rounded, 24));
  std::frexp(rounded, &exponent);
  uint64_t fraction =
      static_cast<uint64_t>(std::ldexp(rounded, 11 - exponent)) & 0x3ff;
  return sign | uint64_t(exponent + 14) << 10 | fraction;
}

} // namespace coppice::emulator
