// See taken_lists.h.
#include "runtime/verify/taken_lists.h"

#include "runtime/verify/comparison.h"

#include <span>
#include <vector>

namespace coppice::rt {

/// The oracle's scores of the blocks that these lists choose from; null: there
/// are none, or not of as many rows and heads.
static const BlockScores *findScores(const Comparison &comparison,
                                     const Kept &kept, int64_t width) {
  auto named = comparison.blockScores.find(kept.value->name + ".scores");
  if (named == comparison.blockScores.end())
    return nullptr;
  const BlockScores &scores = named->second;
  if (scores.found.rows != kept.found.rows || scores.blocks == 0)
    return nullptr;
  int64_t heads = scores.found.width / scores.blocks;
  bool fits = heads > 0 && width % heads == 0 && width > 0 &&
              kept.found.width % (width / heads) == 0;
  return fits ? &scores : nullptr;
}

/// Holds the lists of the fast program against the oracle's own, [rows, width].
static void compareLists(Comparison &comparison, const Kept &kept,
                         std::span<const int32_t> own, int64_t width) {
  const ComparedValue &value = *kept.value;
  const BlockScores *scores = findScores(comparison, kept, width);
  int64_t heads = scores ? scores->found.width / scores->blocks : 1;
  // Without scores the lists of all heads are compared as one.
  int64_t perHead = scores ? width / heads : kept.found.width;
  for (int64_t row = 0; row < kept.found.rows; ++row)
    for (int64_t first = 0; first < kept.found.width; first += perHead) {
      auto columnOf = [&](int64_t i) {
        return value.columns.empty() ? i : value.columns[size_t(i)];
      };
      std::vector<int32_t> mine, theirs;
      for (int64_t i = first; i < first + perHead; ++i) {
        mine.push_back(
            int32_t(kept.found.data[size_t(row * kept.found.width + i)]));
        theirs.push_back(own[size_t(row * width + columnOf(i))]);
      }
      std::span<const float> ofHead;
      if (scores)
        ofHead =
            std::span(scores->found.data)
                .subspan(size_t(row * scores->found.width +
                                columnOf(first) / perHead * scores->blocks),
                         size_t(scores->blocks));
      compareBlockLists(comparison.report.blocks, mine, theirs, ofHead);
    }
}

void takeLists(void *context, int64_t dispatch, int32_t *data,
               const int64_t *shape, int64_t rank) {
  auto &comparison = *static_cast<Comparison *>(context);
  const ComparedValue &value = comparison.oracle.values[size_t(dispatch)];
  const std::vector<size_t> *found = comparison.findKept(value.name);
  if (!value.isList || rank != 2 || !found)
    return;
  const Kept &kept = comparison.kept[found->front()];
  const std::vector<int64_t> &columns = kept.value->columns;
  int64_t rows = shape[0], width = shape[1];
  int64_t wanted = columns.empty() ? width : int64_t(columns.size());
  // Another shape is reported when the values are compared.
  if (kept.found.rows != rows || kept.found.width != wanted ||
      (!columns.empty() && columns.back() >= width))
    return;
  compareLists(comparison, kept, {data, size_t(rows * width)}, width);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < wanted; ++i)
      data[row * width + (columns.empty() ? i : columns[size_t(i)])] =
          int32_t(kept.found.data[size_t(row * wanted + i)]);
}

} // namespace coppice::rt
