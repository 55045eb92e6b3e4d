#include "runtime/base/dtype.h"

#include <array>
#include <cstring>

namespace coppice::rt {
namespace {

struct Entry {
  DType dtype;
  int64_t size;
  std::string_view name, safetensorsName;
};

// In the order of the enumeration: sizeOf and nameOf index it.
constexpr std::array<Entry, 13> table = {{
    {DType::F32, 4, "f32", "F32"},
    {DType::F16, 2, "f16", "F16"},
    {DType::BF16, 2, "bf16", "BF16"},
    {DType::F64, 8, "f64", "F64"},
    {DType::I8, 1, "i8", "I8"},
    {DType::I16, 2, "i16", "I16"},
    {DType::I32, 4, "i32", "I32"},
    {DType::I64, 8, "i64", "I64"},
    {DType::U8, 1, "u8", "U8"},
    {DType::U16, 2, "u16", "U16"},
    {DType::U32, 4, "u32", "U32"},
    {DType::U64, 8, "u64", "U64"},
    {DType::Bool, 1, "bool", "BOOL"},
}};

const Entry &entryOf(DType dtype) { return table[size_t(dtype)]; }

template <typename T> T load(const void *array, int64_t index) {
  T value; // the array may be unaligned: files decide where it starts
  std::memcpy(&value, static_cast<const char *>(array) + index * sizeof(T),
              sizeof(T));
  return value;
}

template <typename T> void store(void *array, int64_t index, T value) {
  std::memcpy(static_cast<char *>(array) + index * sizeof(T), &value,
              sizeof(T));
}

} // namespace

int64_t sizeOf(DType dtype) { return entryOf(dtype).size; }
std::string_view nameOf(DType dtype) { return entryOf(dtype).name; }
std::string_view safetensorsNameOf(DType dtype) {
  return entryOf(dtype).safetensorsName;
}

std::optional<DType> dtypeNamed(std::string_view name) {
  for (const Entry &entry : table)
    if (entry.name == name)
      return entry.dtype;
  return std::nullopt;
}

std::optional<DType> dtypeNamedInSafetensors(std::string_view name) {
  for (const Entry &entry : table)
    if (entry.safetensorsName == name)
      return entry.dtype;
  return std::nullopt;
}

bool isFloat(DType dtype) {
  return dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16 ||
         dtype == DType::F64;
}

float f16ToF32(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000u) << 16;
  uint32_t exponent = (bits >> 10) & 0x1Fu;
  uint32_t mantissa = bits & 0x3FFu;
  if (exponent == 0) { // zero and subnormals: mantissa * 2^-24, exact in f32
    float magnitude = float(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  uint32_t wide = exponent == 31 ? 0xFFu : exponent + (127 - 15);
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

uint16_t f32ToF16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint16_t sign = uint16_t((bits >> 16) & 0x8000u);
  uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u)
    return uint16_t(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
  if (magnitude >= 0x477FF000u) // 65520 and above round to infinity
    return uint16_t(sign | 0x7C00u);
  if (magnitude < 0x38800000u) { // below 2^-14: subnormal
    // Adding 0.5 puts the bits of value / 2^-24 into the low mantissa, rounded
    // to nearest even by the addition itself.
    float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return uint16_t(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000u));
  }
  uint32_t rounded =
      magnitude - ((127 - 15) << 23) + 0xFFFu + ((magnitude >> 13) & 1u);
  return uint16_t(sign | (rounded >> 13));
}

float loadAsF32(DType dtype, const void *array, int64_t index) {
  switch (dtype) {
  case DType::F32:
    return load<float>(array, index);
  case DType::F16:
    return f16ToF32(load<uint16_t>(array, index));
  case DType::BF16:
    return bf16ToF32(load<uint16_t>(array, index));
  case DType::F64:
    return float(load<double>(array, index));
  case DType::I8:
    return float(load<int8_t>(array, index));
  case DType::I16:
    return float(load<int16_t>(array, index));
  case DType::I32:
    return float(load<int32_t>(array, index));
  case DType::I64:
    return float(load<int64_t>(array, index));
  case DType::U8:
  case DType::Bool:
    return float(load<uint8_t>(array, index));
  case DType::U16:
    return float(load<uint16_t>(array, index));
  case DType::U32:
    return float(load<uint32_t>(array, index));
  case DType::U64:
    return float(load<uint64_t>(array, index));
  }
  return 0; // not reached: the switch names every type
}

void storeFromF32(DType dtype, void *array, int64_t index, float value) {
  switch (dtype) {
  case DType::F32:
    return store(array, index, value);
  case DType::F16:
    return store(array, index, f32ToF16(value));
  case DType::BF16:
    return store(array, index, f32ToBf16(value));
  case DType::F64:
    return store(array, index, double(value));
  default:
    return; // float types only, as the header says
  }
}

void convertToF32(DType dtype, const void *source, float *target,
                  int64_t count) {
  if (dtype == DType::F32) {
    if (count > 0) // memcpy takes no null pointers, not even for 0 bytes
      std::memcpy(target, source, size_t(count) * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    target[i] = loadAsF32(dtype, source, i);
}

void convertFromF32(DType dtype, const float *source, void *target,
                    int64_t count) {
  if (dtype == DType::F32) {
    if (count > 0)
      std::memcpy(target, source, size_t(count) * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    storeFromF32(dtype, target, i, source[i]);
}

} // namespace coppice::rt
