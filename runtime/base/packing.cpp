#include "runtime/base/packing.h"

#include "runtime/base/checked.h"
#include "runtime/base/concat.h"

#include <cstring>

namespace coppice::rt {

static int64_t ceilDiv(int64_t a, int64_t b) { return a / b + (a % b != 0); }

int64_t KeptAxis::count() const {
  int64_t total = 0;
  for (const auto &[begin, end] : ranges)
    total += end - begin;
  return total;
}

Status checkKept(std::span<const int64_t> shape,
                 std::span<const KeptAxis> kept) {
  std::vector<bool> seen(shape.size());
  for (const KeptAxis &entry : kept) {
    if (entry.axis < 0 || entry.axis >= int64_t(shape.size()))
      return invalidFile(concat("expected a kept axis below ", shape.size(),
                                ", found ", entry.axis));
    if (seen[size_t(entry.axis)])
      return invalidFile(concat("axis ", entry.axis, " kept twice"));
    seen[size_t(entry.axis)] = true;
    int64_t extent = shape[size_t(entry.axis)], previousEnd = 0;
    for (const auto &[begin, end] : entry.ranges) {
      if (begin < previousEnd || begin >= end || end > extent)
        return invalidFile(concat(
            "expected ascending, disjoint, non-empty kept ranges in [0, ",
            extent, ") on axis ", entry.axis, ", found [", begin, ", ", end,
            ")"));
      previousEnd = end;
    }
  }
  return {};
}

Result<std::vector<int64_t>> packedShape(std::span<const int64_t> original,
                                         std::span<const KeptAxis> kept,
                                         Packing packing) {
  if (!checkedProduct(original))
    return invalidFile("shape overflows 64 bits or has a negative extent");
  if (Status status = checkKept(original, kept); !status.ok())
    return status;
  if (packing.panels < 0)
    return invalidFile(
        concat("expected a panel width of at least 1, found ", packing.panels));
  if (packing.depth < 1 || (packing.depth > 1 && !packing.panels))
    return invalidFile(
        concat("expected a depth of at least 1, and 1 without panels, found ",
               packing.depth));
  if (packing.panels && original.size() != 2)
    return invalidFile(
        concat("expected two axes for panels, found ", original.size()));
  int64_t factors[] = {packing.panels, packing.depth};
  auto panelRow = checkedProduct(factors);
  if (!panelRow)
    return invalidFile("packed shape overflows 64 bits");
  std::vector<int64_t> shape(original.begin(), original.end());
  for (const KeptAxis &entry : kept)
    shape[size_t(entry.axis)] = entry.count();
  if (packing.panels)
    shape = {ceilDiv(shape[0], packing.panels),
             ceilDiv(shape[1], packing.depth), *panelRow};
  if (!checkedProduct(shape))
    return invalidFile("packed shape overflows 64 bits");
  return shape;
}

Result<PackedLayout> PackedLayout::make(std::span<const int64_t> original,
                                        std::span<const KeptAxis> kept,
                                        Packing packing) {
  auto shape = rt::packedShape(original, kept, packing);
  if (!shape)
    return shape.status();
  PackedLayout layout;
  layout.shape = *std::move(shape);
  layout.elements = *checkedProduct(layout.shape);
  layout.panels = packing.panels;
  layout.depth = packing.depth;
  if (layout.elements == 0)
    return layout; // no rows either, however many the outer axes have

  // Kept ranges of every axis; those not named keep all.
  size_t rank = original.size();
  std::vector<KeptAxis> axes(rank);
  for (size_t axis = 0; axis < rank; ++axis)
    if (original[axis] > 0)
      axes[axis].ranges = {{0, original[axis]}};
  for (const KeptAxis &entry : kept)
    axes[size_t(entry.axis)].ranges = entry.ranges;

  if (rank == 0) { // a scalar is one row of one element
    layout.columns = {{0, 1}};
    layout.rowWidth = 1;
  } else {
    layout.columns = axes.back().ranges;
    layout.rowWidth = axes.back().count();
  }

  // Linear starts of the kept rows: the outer axes, expanded one by one.
  layout.rowStarts = {0};
  for (size_t axis = 0; axis + 1 < rank; ++axis) {
    std::vector<int64_t> expanded;
    for (int64_t start : layout.rowStarts)
      for (const auto &[begin, end] : axes[axis].ranges)
        for (int64_t index = begin; index < end; ++index)
          expanded.push_back(start * original[axis] + index);
    layout.rowStarts = std::move(expanded);
  }
  if (rank > 0)
    for (int64_t &start : layout.rowStarts)
      start *= original.back();
  return layout;
}

// Elements as integers of their size, so that each is one load and one store;
// `place` gives where each goes, in units of Element.
template <typename Element>
static void moveElement(const void *from, int64_t i, void *to, int64_t place) {
  Element element;
  constexpr auto size = int64_t(sizeof(Element));
  std::memcpy(&element, static_cast<const std::byte *>(from) + i * size, size);
  std::memcpy(static_cast<std::byte *>(to) + place * size, &element, size);
}

template <typename Element>
static void scatterEach(const PackedLayout::Run &run, int64_t begin, int64_t n,
                        const void *elements, void *target) {
  run.forEachPlace(begin, n, [&](int64_t i, int64_t place) {
    moveElement<Element>(elements, i, target, place);
  });
}

void PackedLayout::scatter(const Run &run, int64_t begin, int64_t n,
                           const void *elements, int64_t elementBytes,
                           void *target) {
  if (n <= 0)
    return;
  auto *to = static_cast<std::byte *>(target);
  if (run.stride == 1) {
    std::memcpy(to + run.place(begin) * elementBytes, elements,
                size_t(n * elementBytes));
  } else if (elementBytes == 2 && run.depth == 2 &&
             (run.first + begin) % 2 == 0) {
    // Pairs lie side by side in both: they move as one.
    int64_t at = run.place(begin) / 2, step = run.stride / 2;
    for (int64_t pair = 0; pair < n / 2; ++pair)
      moveElement<uint32_t>(elements, pair, target, at + pair * step);
    if (n % 2)
      moveElement<uint16_t>(elements, n - 1, target, run.place(begin + n - 1));
  } else if (elementBytes == 2) {
    scatterEach<uint16_t>(run, begin, n, elements, target);
  } else if (elementBytes == 4) {
    scatterEach<uint32_t>(run, begin, n, elements, target);
  } else {
    run.forEachPlace(begin, n, [&](int64_t i, int64_t place) {
      std::memcpy(to + place * elementBytes,
                  static_cast<const std::byte *>(elements) + i * elementBytes,
                  size_t(elementBytes));
    });
  }
}

void PackedLayout::packRows(const void *source, int64_t elementBytes,
                            void *target, int64_t rowBegin,
                            int64_t rowEnd) const {
  const auto *from = static_cast<const std::byte *>(source);
  forEachRun(rowBegin, rowEnd, [&](const Run &run) {
    scatter(run, 0, run.count, from + run.source * elementBytes, elementBytes,
            target);
  });
}

} // namespace coppice::rt
