// One result, however the work of a kernel is split.
#ifndef COPPICE_TEST_UNIT_SUPPORT_RUNALLWAYS_H
#define COPPICE_TEST_UNIT_SUPPORT_RUNALLWAYS_H

#include "support/Kernels.h"

namespace coppice::test {

template <typename T> std::vector<char> bytesOf(const std::vector<T> &values) {
  auto *first = reinterpret_cast<const char *>(values.data());
  return {first, first + values.size() * sizeof(T)};
}

/// Runs a kernel in several ways of splitting its work, checks that they agree
/// to the bit, and returns the contents of the destination, the last argument.
std::vector<char> runBytes(Kernels &kernels, llvm::StringRef name,
                           std::vector<const void *> inputs,
                           const std::vector<char> &destination,
                           const Symbols &symbols);

/// The same, of numbers in 32 bit.
std::vector<float> runAllWays(Kernels &kernels, llvm::StringRef name,
                              std::vector<const void *> inputs,
                              const std::vector<float> &destination,
                              const Symbols &symbols);

} // namespace coppice::test

#endif // COPPICE_TEST_UNIT_SUPPORT_RUNALLWAYS_H
