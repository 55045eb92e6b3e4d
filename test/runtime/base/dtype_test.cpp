// Conversions between storage types.
#include "runtime/base/dtype.h"
#include "runtime/base/finite.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace coppice::rt {
namespace {

// The compiler's own half type is the independent reference.
uint16_t referenceF16(float value) {
  return std::bit_cast<uint16_t>(static_cast<_Float16>(value));
}

TEST(DTypeTest, EveryF16WidensExactly) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float expected = float(std::bit_cast<_Float16>(uint16_t(bits)));
    float found = f16ToF32(uint16_t(bits));
    if (std::isnan(expected))
      ASSERT_TRUE(std::isnan(found)) << bits;
    else
      ASSERT_EQ(std::bit_cast<uint32_t>(found),
                std::bit_cast<uint32_t>(expected))
          << bits;
  }
}

// All halves, the midpoints between neighbours, and what lies next to those:
// where rounding is decided.
TEST(DTypeTest, F16RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7C00; ++bits) {
    float low = f16ToF32(uint16_t(bits));
    float high = bits == 0x7BFF ? 65536.0f : f16ToF32(uint16_t(bits + 1));
    float middle = low + (high - low) / 2;
    for (float value : {low, middle, std::nextafter(middle, 0.0f),
                        std::nextafter(middle, 1e9f)}) {
      ASSERT_EQ(f32ToF16(value), referenceF16(value)) << value;
      ASSERT_EQ(f32ToF16(-value), referenceF16(-value)) << value;
    }
  }
  EXPECT_EQ(f32ToF16(std::numeric_limits<float>::infinity()), 0x7C00);
  EXPECT_EQ(f32ToF16(1e30f), 0x7C00);
  EXPECT_EQ(f32ToF16(1e-30f), 0);
  EXPECT_TRUE(std::isnan(f16ToF32(f32ToF16(std::nanf("")))));
}

TEST(DTypeTest, Bf16RoundsToNearestEven) {
  EXPECT_EQ(f32ToBf16(1.0f), 0x3F80);
  EXPECT_EQ(f32ToBf16(std::bit_cast<float>(0x3F808000u)), 0x3F80); // tie: even
  EXPECT_EQ(f32ToBf16(std::bit_cast<float>(0x3F818000u)), 0x3F82); // tie: even
  EXPECT_EQ(f32ToBf16(std::bit_cast<float>(0x3F808001u)), 0x3F81);
  EXPECT_EQ(f32ToBf16(std::bit_cast<float>(0xBF807FFFu)), 0xBF80);
  EXPECT_EQ(f32ToBf16(3.4e38f), 0x7F80); // rounds up to infinity
  // A NaN whose payload is only in the lower half must not become infinity.
  EXPECT_TRUE(
      std::isnan(bf16ToF32(f32ToBf16(std::bit_cast<float>(0x7F800001u)))));
  EXPECT_EQ(bf16ToF32(0xC040), -3.0f);
}

TEST(DTypeTest, NamesAndSizesGoTogether) {
  for (const char *name : {"f32", "f16", "bf16", "f64", "i8", "i16", "i32",
                           "i64", "u8", "u16", "u32", "u64", "bool"}) {
    auto dtype = dtypeNamed(name);
    ASSERT_TRUE(dtype) << name;
    EXPECT_EQ(nameOf(*dtype), name);
    EXPECT_EQ(dtypeNamedInSafetensors(safetensorsNameOf(*dtype)), dtype);
  }
  EXPECT_EQ(sizeOf(DType::BF16), 2);
  EXPECT_EQ(sizeOf(DType::F64), 8);
  EXPECT_EQ(sizeOf(DType::Bool), 1);
  EXPECT_FALSE(dtypeNamed("F32"));
  EXPECT_FALSE(dtypeNamedInSafetensors("F8_E4M3"));
}

TEST(DTypeTest, ConvertsUnalignedArrays) {
  char bytes[1 + 3 * sizeof(int32_t)];
  int32_t values[] = {-5, 0, 1 << 20};
  std::copy_n(reinterpret_cast<char *>(values), sizeof(values), bytes + 1);
  float out[3];
  convertToF32(DType::I32, bytes + 1, out, 3);
  EXPECT_EQ(out[0], -5.0f);
  EXPECT_EQ(out[2], 1048576.0f);
  float back[3] = {1.5f, -2.0f, 0.25f};
  convertFromF32(DType::BF16, back, bytes + 1, 3);
  convertToF32(DType::BF16, bytes + 1, out, 3);
  EXPECT_EQ(out[0], 1.5f);
  EXPECT_EQ(out[1], -2.0f);
}

TEST(FiniteTest, FindsTheFirstInAnyAlignment) {
  constexpr int64_t count = 9001;
  for (DType dtype : {DType::F32, DType::F16, DType::BF16, DType::F64}) {
    std::vector<std::byte> memory(size_t(count * sizeOf(dtype)) + 1);
    void *array = memory.data() + 1;
    for (int64_t i = 0; i < count; ++i)
      storeFromF32(dtype, array, i, -1.5f);
    EXPECT_EQ(firstNonFinite(dtype, array, 3, count), count);
    storeFromF32(dtype, array, 8999, -INFINITY);
    EXPECT_EQ(firstNonFinite(dtype, array, 3, count), 8999);
    EXPECT_EQ(firstNonFinite(dtype, array, 3, 8999), 8999);
    storeFromF32(dtype, array, 4097, NAN);
    EXPECT_EQ(firstNonFinite(dtype, array, 0, count), 4097);
    EXPECT_EQ(firstNonFinite(dtype, array, 4098, count), 8999);
  }
  int32_t integers[] = {0x7F800000, -1};
  EXPECT_EQ(firstNonFinite(DType::I32, integers, 0, 2), 2);
}

} // namespace
} // namespace coppice::rt
