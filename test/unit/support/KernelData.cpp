#include "support/KernelData.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/Support/MathExtras.h"
#include "gtest/gtest.h"
#include <cmath>
#include <cstring>

namespace coppice::test {

unsigned seed() {
  static const unsigned value = [] {
    const char *wanted = std::getenv("COPPICE_TEST_SEED");
    return wanted ? unsigned(std::atol(wanted)) : std::random_device()();
  }();
  return value;
}

std::mt19937 &engine() {
  static std::mt19937 engine(seed());
  return engine;
}

int64_t pick(int64_t least, int64_t most) {
  return std::uniform_int_distribution<int64_t>(least, most)(engine());
}

std::vector<float> integers(size_t count) {
  std::uniform_int_distribution<int> distribution(-3, 3);
  std::vector<float> values(count);
  for (float &value : values)
    value = static_cast<float>(distribution(engine()));
  return values;
}

std::vector<float> normals(size_t count) {
  std::normal_distribution<float> distribution;
  std::vector<float> values(count);
  for (float &value : values)
    value = distribution(engine());
  return values;
}

static const llvm::fltSemantics &semanticsOf(llvm::StringRef type) {
  return type == "f32"   ? llvm::APFloat::IEEEsingle()
         : type == "f16" ? llvm::APFloat::IEEEhalf()
                         : llvm::APFloat::BFloat();
}

std::vector<char> store(std::vector<float> &values, llvm::StringRef type) {
  std::vector<char> bytes;
  for (float &value : values) {
    llvm::APFloat number(value);
    bool lossy;
    number.convert(semanticsOf(type), llvm::APFloat::rmNearestTiesToEven,
                   &lossy);
    uint64_t bits = number.bitcastToAPInt().getZExtValue();
    const char *first = reinterpret_cast<const char *>(&bits);
    bytes.insert(bytes.end(), first, first + (type == "f32" ? 4 : 2));
    number.convert(llvm::APFloat::IEEEsingle(),
                   llvm::APFloat::rmNearestTiesToEven, &lossy);
    value = number.convertToFloat();
  }
  return bytes;
}

std::vector<float> unstore(const std::vector<char> &bytes,
                           llvm::StringRef type) {
  size_t size = type == "f32" ? 4 : 2;
  std::vector<float> values;
  for (size_t i = 0; i < bytes.size(); i += size) {
    uint64_t bits = 0;
    std::memcpy(&bits, &bytes[i], size);
    llvm::APFloat number(semanticsOf(type), llvm::APInt(8 * size, bits));
    bool lossy;
    number.convert(llvm::APFloat::IEEEsingle(),
                   llvm::APFloat::rmNearestTiesToEven, &lossy);
    values.push_back(number.convertToFloat());
  }
  return values;
}

double rowError(const std::vector<float> &a, const std::vector<float> &b,
                int64_t width) {
  double worst = 0;
  for (size_t row = 0; row * width < b.size(); ++row) {
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < width; ++i) {
      double x = a[row * width + i], y = b[row * width + i];
      difference += (x - y) * (x - y);
      norm += y * y;
    }
    double error =
        norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
    if (std::isnan(error))
      return error;
    worst = std::max(worst, error);
  }
  return worst;
}

std::vector<float> pack(const std::vector<float> &weight, int64_t n, int64_t k,
                        int64_t panel, int64_t depth) {
  int64_t groups = llvm::divideCeil(k, depth);
  std::vector<float> packed(llvm::alignTo(n, panel) * groups * depth, 0.0f);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < k; ++column)
      packed[((row / panel * groups + column / depth) * panel + row % panel) *
                 depth +
             column % depth] = weight[row * k + column];
  return packed;
}

std::vector<char> packKept(std::vector<float> &weight, llvm::StringRef type,
                           int64_t n, int64_t k, const rt::NMLayout &layout) {
  std::vector<char> rows = store(weight, type);
  int64_t size = type == "f32" ? 4 : 2;
  std::vector<char> packed(llvm::divideCeil(n, layout.panelColumns()) *
                           llvm::divideCeil(k, layout.stepColumns()) *
                           layout.stepElements() * size);
  for (int64_t row = 0; row < n; ++row)
    EXPECT_TRUE(
        layout.packRow(rows.data() + row * k * size, k, row, packed.data()));
  return packed;
}

Guarded::Guarded(const std::vector<char> &contents)
    : storage(contents.size() + 2 * margin, filler) {
  std::copy(contents.begin(), contents.end(), storage.begin() + margin);
}

bool Guarded::intact() const {
  auto isFiller = [](char value) { return value == filler; };
  return std::all_of(storage.begin(), storage.begin() + margin, isFiller) &&
         std::all_of(storage.end() - margin, storage.end(), isFiller);
}

std::vector<float> multiply(const std::vector<float> &a,
                            const std::vector<float> &w, int64_t m, int64_t n,
                            int64_t k) {
  std::vector<float> c(m * n);
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = 0; column < n; ++column) {
      float sum = 0;
      for (int64_t i = 0; i < k; ++i)
        sum += a[row * k + i] * w[column * k + i];
      c[row * n + column] = sum;
    }
  return c;
}

} // namespace coppice::test
