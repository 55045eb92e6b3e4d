// The rows of a step, for tests of kernels that look at positions.
#ifndef COPPICE_TEST_UNIT_SUPPORT_RAGGEDSTEP_H
#define COPPICE_TEST_UNIT_SUPPORT_RAGGEDSTEP_H

#include <cstdint>
#include <utility>
#include <vector>

namespace coppice::test {

struct RaggedStep {
  std::vector<int32_t> slots, positions;

  /// `count` rows of a slot from a position on.
  void addRun(int32_t slot, int32_t position, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
      slots.push_back(slot);
      positions.push_back(position + i);
    }
  }
  void swapRows(size_t a, size_t b) {
    std::swap(slots[a], slots[b]);
    std::swap(positions[a], positions[b]);
  }
};

} // namespace coppice::test

#endif
