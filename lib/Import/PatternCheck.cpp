// A pattern that a checkpoint claims is checked when it comes in: whoever made
// it is then still at hand. What plans claim, and what is left of a claim when
// K is pruned, is checked where weights are packed.
#include "coppice/Import/PatternCheck.h"

#include "coppice/Import/BitmaskLayout.h"
#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"

#include "llvm/Support/Parallel.h"

#include <atomic>

namespace coppice {

int64_t findExcess(rt::DType dtype, std::span<const std::byte> row,
                   SparsityPattern pattern) {
  const int64_t width = int64_t(row.size()) / rt::sizeOf(dtype);
  int64_t found = 0; // in the group
  for (int64_t i = 0; i < width; ++i) {
    if (i % pattern.of == 0)
      found = 0;
    found += rt::loadAsF32(dtype, row.data(), i) != 0.0f;
    if (found > pattern.kept)
      return i;
  }
  return -1;
}

static int64_t findExcess(const TensorView &tensor, int64_t row,
                          SparsityPattern pattern) {
  const size_t rowBytes = tensor.data.size() / size_t(tensor.shape[0]);
  auto bytes = tensor.data.subspan(size_t(row) * rowBytes, rowBytes);
  if (tensor.bitmask.empty())
    return findExcess(tensor.dtype, bytes, pattern);
  const int64_t width = tensor.shape.back(), size = rt::sizeOf(tensor.dtype);
  std::vector<std::byte> whole(size_t(width * size));
  expandBitmaskRow(bytes.data(),
                   tensor.bitmask.data() + row * bitmaskBytes(width), width,
                   size, whole.data());
  return findExcess(tensor.dtype, whole, pattern);
}

static rt::Status checkPattern(const TensorView &tensor,
                               SparsityPattern pattern) {
  std::atomic<int64_t> bad = tensor.shape[0]; // the first such row
  llvm::parallelFor(0, size_t(tensor.shape[0]), [&](size_t i) {
    const int64_t row = int64_t(i);
    if (row >= bad || findExcess(tensor, row, pattern) < 0)
      return;
    int64_t least = bad;
    while (row < least && !bad.compare_exchange_weak(least, row))
      ;
  });
  if (bad == tensor.shape[0])
    return {};
  return rt::invalidFile(rt::concat(
      "tensor ", rt::quote(tensor.inTensor), ": expected at most ",
      pattern.kept, " of ", pattern.of,
      " elements that are not zero along K, as its pattern says, found one "
      "more in row ",
      tensor.firstRow + bad, " at column ", findExcess(tensor, bad, pattern),
      "; --no-patterns takes all matrices as dense ones"));
}

rt::Status refuseFalsePatterns(const ModelDescription &model,
                               std::span<const TensorView> tensors) {
  if (model.patterns.empty())
    return {};
  const std::vector<ModelWeight> weights = weightsOf(model);
  for (size_t i = 0; i < weights.size(); ++i) {
    std::string site = weights[i].symbol;
    if (weights[i].kind != ModelWeight::Kind::Matrix)
      continue;
    site.resize(site.size() - std::string_view(".weight").size());
    auto found = model.patterns.find(site);
    if (found == model.patterns.end())
      continue;
    if (auto s = checkPattern(tensors[i], found->second); !s.ok())
      return s;
  }
  return {};
}

} // namespace coppice
