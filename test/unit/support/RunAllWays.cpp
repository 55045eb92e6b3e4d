#include "support/RunAllWays.h"

#include "support/KernelData.h"
#include "gtest/gtest.h"

namespace coppice::test {

std::vector<char> runBytes(Kernels &kernels, llvm::StringRef name,
                           std::vector<const void *> inputs,
                           const std::vector<char> &destination,
                           const Symbols &symbols) {
  std::vector<char> first;
  for (int64_t chunk : {0, 1, 3}) {
    Guarded out(destination);
    std::vector<const void *> args = inputs;
    args.push_back(out.data());
    kernels.run(name, args, symbols, chunk);
    EXPECT_TRUE(out.intact());
    if (chunk == 0)
      first = out.contents();
    EXPECT_EQ(out.contents(), first);
  }
  return first;
}

std::vector<float> runAllWays(Kernels &kernels, llvm::StringRef name,
                              std::vector<const void *> inputs,
                              const std::vector<float> &destination,
                              const Symbols &symbols) {
  return unstore(runBytes(kernels, name, inputs, bytesOf(destination), symbols),
                 "f32");
}

} // namespace coppice::test
