// From a tensor in its original shape to the bytes that kernels read: kept
// slices first, then a packing (docs/bundle.md, "Packing").
//
// A PackedLayout is made once from (original shape, kept, packing); it knows
// the packed shape and can move elements: from an array (pack) or from a
// function of the original linear index (fill), all of it or a range of rows,
// so that callers can spread the work over threads.
#ifndef COPPICE_RUNTIME_BASE_PACKING_H
#define COPPICE_RUNTIME_BASE_PACKING_H

#include "runtime/base/dtype.h"
#include "runtime/base/status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace coppice::rt {

// Indices kept along one axis: ascending, disjoint, half-open ranges.
struct KeptAxis {
  int64_t axis = 0;
  std::vector<std::pair<int64_t, int64_t>> ranges;

  int64_t count() const;
  bool operator==(const KeptAxis &other) const = default;
};

// Axes in the shape, none twice; ranges not empty, ascending, disjoint and in
// the axis' extent. An axis may keep nothing at all.
Status checkKept(std::span<const int64_t> shape,
                 std::span<const KeptAxis> kept);

struct Packing {
  int64_t panels = 0; // 0: rows, as is; else the panel's width P
  int64_t depth = 1;  // of panels: how many k lie side by side, D

  bool operator==(const Packing &other) const = default;
};

// The shape after kept slices and packing; allocates nothing by the shape's
// extents, so that it is safe on what a file says.
Result<std::vector<int64_t>> packedShape(std::span<const int64_t> shape,
                                         std::span<const KeptAxis> kept,
                                         Packing packing);

class PackedLayout {
public:
  // Panels need a shape of two axes.
  static Result<PackedLayout> make(std::span<const int64_t> shape,
                                   std::span<const KeptAxis> kept,
                                   Packing packing);

  const std::vector<int64_t> &packedShape() const { return shape; }
  int64_t packedElements() const { return elements; }

  // A row is all of the innermost axis; rows are what threads share out.
  int64_t rowCount() const { return int64_t(rowStarts.size()); }

  // Elements that lie side by side in the original: `count` of them, from
  // linear index `source`. Element i goes to place(i).
  struct Run {
    int64_t source, count;
    int64_t target; // of the row's first kept element
    int64_t first;  // kept elements of the row before this run
    int64_t depth, stride;

    int64_t place(int64_t i) const {
      int64_t k = first + i;
      return depth == 1 ? target + k * stride
                        : target + k / depth * stride + k % depth;
    }

    // Calls visit(i, place(begin + i)) for i in [0, n), without a division
    // each.
    template <typename Visit>
    void forEachPlace(int64_t begin, int64_t n, Visit &&visit) const {
      int64_t at = place(begin);
      if (depth == 1) {
        for (int64_t i = 0; i < n; ++i)
          visit(i, at + i * stride);
        return;
      }
      int64_t within = (first + begin) % depth;
      for (int64_t i = 0; i < n; ++i) {
        visit(i, at);
        bool last = ++within == depth;
        at += last ? stride - depth + 1 : 1;
        within = last ? 0 : within;
      }
    }
  };

  // Calls visit(Run) for rows [rowBegin, rowEnd). Panel padding is not visited:
  // start from zeroed memory.
  template <typename Visit>
  void forEachRun(int64_t rowBegin, int64_t rowEnd, Visit &&visit) const {
    for (int64_t row = rowBegin; row < rowEnd; ++row) {
      int64_t target = row * rowWidth, stride = 1, first = 0;
      if (panels) {
        stride = panels * depth;
        target = row / panels * ((rowWidth + depth - 1) / depth) * stride +
                 row % panels * depth;
      }
      for (const auto &[begin, end] : columns) {
        visit(Run{rowStarts[size_t(row)] + begin, end - begin, target, first,
                  depth, stride});
        first += end - begin;
      }
    }
  }

  // Stores elements [begin, begin + n) of a run: `elements` has those n, side
  // by side. Of 2, 4 or any other number of bytes each.
  static void scatter(const Run &run, int64_t begin, int64_t n,
                      const void *elements, int64_t elementBytes, void *target);

  // Packs rows [rowBegin, rowEnd) of `source` (the original, dense, any
  // alignment) into `target` (zeroed, packedElements() elements).
  void packRows(const void *source, int64_t elementBytes, void *target,
                int64_t rowBegin, int64_t rowEnd) const;
  void pack(const void *source, int64_t elementBytes, void *target) const {
    packRows(source, elementBytes, target, 0, rowCount());
  }

private:
  std::vector<int64_t> shape; // packed
  int64_t elements = 0;       // of the packed shape
  int64_t panels = 0, depth = 1;
  int64_t rowWidth = 0;           // kept elements of a row
  std::vector<int64_t> rowStarts; // linear index in the original
  std::vector<std::pair<int64_t, int64_t>> columns; // kept, innermost axis
};

} // namespace coppice::rt

#endif
