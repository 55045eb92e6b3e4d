// Element types, their names in program.json ("f32") and in safetensors
// ("F32"), and conversions between the float types. Rounding is to nearest,
// ties to even; NaN stays NaN; overflow becomes infinity.
#ifndef COPPICE_RUNTIME_BASE_DTYPE_H
#define COPPICE_RUNTIME_BASE_DTYPE_H

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

namespace coppice::rt {

enum class DType : uint8_t {
  F32,
  F16,
  BF16,
  F64,
  I8,
  I16,
  I32,
  I64,
  U8,
  U16,
  U32,
  U64,
  Bool,
};

// Bytes of one element.
int64_t sizeOf(DType dtype);
// "f32", as in program.json.
std::string_view nameOf(DType dtype);
std::optional<DType> dtypeNamed(std::string_view name);
// "F32", as in safetensors; "BOOL" for Bool.
std::string_view safetensorsNameOf(DType dtype);
std::optional<DType> dtypeNamedInSafetensors(std::string_view name);
bool isFloat(DType dtype);

// bf16 is the upper half of f32.
inline float bf16ToF32(uint16_t bits) {
  return std::bit_cast<float>(uint32_t(bits) << 16);
}

inline uint16_t f32ToBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) // NaN: keep it one when truncated
    return uint16_t((bits >> 16) | 0x40u);
  return uint16_t((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

float f16ToF32(uint16_t bits);
uint16_t f32ToF16(float value);

// Element `index` of an array of `dtype` as f32 (integers are rounded).
float loadAsF32(DType dtype, const void *array, int64_t index);
// Stores `value` as element `index`. Float types only.
void storeFromF32(DType dtype, void *array, int64_t index, float value);
// Converts `count` elements to f32.
void convertToF32(DType dtype, const void *source, float *target,
                  int64_t count);
// Converts `count` elements from f32. Float types only.
void convertFromF32(DType dtype, const float *source, void *target,
                    int64_t count);

} // namespace coppice::rt

#endif
