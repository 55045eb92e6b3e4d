#include "runtime/base/nm_layout.h"

#include <algorithm>
#include <cstring>

namespace coppice::rt {

std::optional<NMLayout> NMLayout::make(int64_t kept, int64_t of, int64_t panel,
                                       int64_t depth, int64_t elementBytes) {
  if (kept == 1 && of == 2) {
    kept = 2;
    of = 4;
  }
  if (of != 1 << bitsOfPosition || kept < 1 || kept > 2)
    return std::nullopt;
  NMLayout layout;
  if (depth == tensorDepth) {
    if (panel != tensorPanel || elementBytes != 2)
      return std::nullopt;
    layout.n = 2;
    layout.of = of;
    layout.panel = panel;
    layout.depth = depth;
    layout.elementBytes = elementBytes;
    layout.steps = tensorStep;
    return layout;
  }
  if (panel < vectorColumns || panel % vectorColumns || depth < 1 ||
      depth > 2 || (elementBytes != 2 && elementBytes != 4))
    return std::nullopt;
  layout.n = kept;
  layout.of = of;
  layout.panel = panel;
  layout.depth = depth;
  layout.elementBytes = elementBytes;
  layout.steps = kept % 2 ? 2 * of : of; // pairs do not go over steps
  return layout;
}

int64_t NMLayout::share() const {
  int64_t shared = 1;
  while (2 * shared * keptOfStep() * positionBits() <= wordBits)
    shared *= 2;
  return shared;
}

int64_t NMLayout::stepElements() const {
  if (isForTensorCores())
    return valueElements() + panel * keptOfStep() * bitsOfPosition / 16;
  int64_t vectors = (panel / vectorColumns + share() - 1) / share();
  return valueElements() + vectors * vectorColumns * wordBytes / elementBytes;
}

template <typename Element> static bool isZero(Element bits) {
  return Element(bits << 1) == 0; // of either sign
}

namespace {
// One row's part of the packed weight.
template <typename Element> struct Row {
  std::byte *step; // of its panel
  int64_t column, panel, depth;

  void setValue(int64_t j, Element value) const {
    int64_t place = j / depth * panel * depth + column * depth + j % depth;
    std::memcpy(step + place * int64_t(sizeof(Element)), &value,
                sizeof(Element));
  }
};
} // namespace

template <typename Element>
static bool packElements(const NMLayout &layout, const Element *elements,
                         int64_t k, int64_t row, int64_t panel, int64_t depth,
                         std::byte *packed) {
  const int64_t columns = layout.stepColumns(), of = layout.groupSize(),
                size = int64_t(sizeof(Element)),
                bits = layout.keptOfStep() * layout.positionBits(),
                share = layout.share(), c = row % panel,
                vector = NMLayout::vectorColumns,
                word = c / vector / share * vector + c % vector,
                shift = c / vector % share * bits,
                steps = (k + columns - 1) / columns;
  std::byte *first =
      packed + row / panel * steps * layout.stepElements() * size;
  for (int64_t s = 0; s < steps; ++s) {
    Row<Element> at{first + s * layout.stepElements() * size, c, panel, depth};
    uint32_t positions = 0;
    for (int64_t group = 0; group < columns / of; ++group) {
      int64_t j = group * layout.keptOfGroup(), last = j + layout.keptOfGroup();
      for (int64_t i = 0; i < of; ++i) {
        int64_t from = s * columns + group * of + i;
        if (from >= k || isZero(elements[from]))
          continue;
        if (j == last)
          return false;
        at.setValue(j, elements[from]);
        positions |= uint32_t(i) << (j * layout.positionBits());
        ++j;
      }
    }
    std::byte *place =
        at.step + layout.valueElements() * size + word * NMLayout::wordBytes;
    uint32_t others;
    std::memcpy(&others, place, sizeof others);
    others |= positions << shift;
    std::memcpy(place, &others, sizeof others);
  }
  return true;
}

// Two elements of each four and their positions, four bits: zeros stand in for
// those that are missing, for positions must ascend.
static bool selectTwo(const uint16_t *group, int64_t count, uint16_t *values,
                      uint64_t &positions) {
  int64_t at[2] = {0, 0}, found = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (isZero(group[i]))
      continue;
    if (found == 2)
      return false;
    at[found++] = i;
  }
  if (found < 2) {
    int64_t only = at[0]; // 0 where there is none
    at[0] = only == 3 ? 0 : only;
    at[1] = 3;
  }
  for (int64_t i = 0; i < 2; ++i)
    values[i] = at[i] < count ? group[at[i]] : uint16_t(0);
  positions = uint64_t(at[0] | at[1] << NMLayout::bitsOfPosition);
  return true;
}

static bool packForTensorCores(const NMLayout &layout, const uint16_t *elements,
                               int64_t k, int64_t row, uint16_t *packed) {
  const int64_t panel = NMLayout::tensorPanel, columns = NMLayout::tensorStep,
                column = row % panel, place = column % 2 * 8 + column / 2,
                steps = (k + columns - 1) / columns, of = layout.groupSize();
  uint16_t *step = packed + row / panel * steps * layout.stepElements();
  for (int64_t s = 0; s < steps; ++s, step += layout.stepElements()) {
    uint16_t *positions = step + layout.valueElements();
    // Columns that the last panel lacks have positions, too: 0 and 1.
    for (int64_t i = 0; column == 0 && i < panel * columns / 16; ++i)
      positions[i] = 0x4444;
    for (int64_t k16 = 0; k16 < columns / 16; ++k16) {
      uint64_t bits = 0;
      for (int64_t group = 0; group < 4; ++group) {
        int64_t number = k16 * 4 + group, first = s * columns + number * of;
        uint64_t two;
        if (!selectTwo(elements + std::min(first, k),
                       std::clamp<int64_t>(k - first, 0, of),
                       step + place * NMLayout::tensorDepth + 2 * number, two))
          return false;
        bits |= two << (4 * group);
      }
      positions[((k16 / 2 * 8 + place % 8) * 2 + k16 % 2) * 2 + place / 8] =
          uint16_t(bits);
    }
  }
  return true;
}

bool NMLayout::packRow(const void *elements, int64_t k, int64_t row,
                       void *packed) const {
  if (isForTensorCores())
    return packForTensorCores(*this, static_cast<const uint16_t *>(elements), k,
                              row, static_cast<uint16_t *>(packed));
  auto *to = static_cast<std::byte *>(packed);
  if (elementBytes == 2)
    return packElements(*this, static_cast<const uint16_t *>(elements), k, row,
                        panel, depth, to);
  return packElements(*this, static_cast<const uint32_t *>(elements), k, row,
                      panel, depth, to);
}

} // namespace coppice::rt
