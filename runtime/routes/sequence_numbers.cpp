// See sequence_numbers.h.
#include "runtime/routes/sequence_numbers.h"

#include <set>

namespace coppice::rt {

std::vector<int32_t>
SequenceNumbers::assign(std::span<const int32_t> slots,
                        std::span<const int32_t> positions) {
  std::set<int32_t> beginning; // in the order of slots
  for (size_t row = 0; row < slots.size(); ++row)
    if (positions[row] == 0 || !bySlot.contains(slots[row]))
      beginning.insert(slots[row]);
  for (int32_t slot : beginning)
    bySlot[slot] = next++;
  std::vector<int32_t> numbers;
  for (int32_t slot : slots)
    numbers.push_back(bySlot[slot]);
  return numbers;
}

} // namespace coppice::rt
