// Numbers for tests of kernels: made, stored as any type, packed, guarded.
#ifndef COPPICE_TEST_UNIT_SUPPORT_KERNELDATA_H
#define COPPICE_TEST_UNIT_SUPPORT_KERNELDATA_H

#include "runtime/base/nm_layout.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <random>
#include <vector>

namespace coppice::test {

/// Seeded by the clock, or by COPPICE_TEST_SEED; `seed()` is what to print.
std::mt19937 &engine();
unsigned seed();

int64_t pick(int64_t least, int64_t most);

/// Integers in [-3, 3]: exact in every float type, and so are sums of products.
std::vector<float> integers(size_t count);

std::vector<float> normals(size_t count);

/// The bytes of `values` stored as "f32", "f16" or "bf16", to nearest even;
/// `values` are rounded likewise.
std::vector<char> store(std::vector<float> &values, llvm::StringRef type);
/// The values that `store` has made bytes of.
std::vector<float> unstore(const std::vector<char> &bytes,
                           llvm::StringRef type);

/// The largest ||a - b|| / ||b|| of a row of `width` numbers; NaN if one is.
double rowError(const std::vector<float> &a, const std::vector<float> &b,
                int64_t width);

/// A [N, K] weight in panels, as docs/bundle.md says.
std::vector<float> pack(const std::vector<float> &weight, int64_t n, int64_t k,
                        int64_t panel, int64_t depth);

/// The same of an N:M weight, stored as `type`: what is kept, and where it was.
std::vector<char> packKept(std::vector<float> &weight, llvm::StringRef type,
                           int64_t n, int64_t k, const rt::NMLayout &layout);

/// The bytes of a buffer between NaNs: a stray write shows, and so does a stray
/// read.
class Guarded {
public:
  explicit Guarded(const std::vector<char> &contents);
  char *data() { return storage.data() + margin; }
  std::vector<char> contents() const {
    return {storage.begin() + margin, storage.end() - margin};
  }
  bool intact() const;

private:
  static constexpr size_t margin = 256;
  static constexpr char filler = char(0xff); // a NaN of any float type
  std::vector<char> storage;
};

/// C[m,n] = sum_k A[m,k] W[n,k], in this order.
std::vector<float> multiply(const std::vector<float> &a,
                            const std::vector<float> &w, int64_t m, int64_t n,
                            int64_t k);

} // namespace coppice::test

#endif
