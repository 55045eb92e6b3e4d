// See thresholds.h.
#include "runtime/verify/thresholds.h"

#include "runtime/verify/comparison.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace coppice::rt {

void takeDecision(ThresholdsReport &report, double threshold, double scale,
                  float fast, float &oracle) {
  report.values += 1;
  if ((fast == 0) == (oracle == 0))
    return;
  report.disagreements += 1;
  double distance =
      std::abs(std::abs(double(fast == 0 ? oracle : fast)) - threshold);
  double margin = distance / scale;
  // A NaN is one for good.
  if (std::isnan(margin) || margin > report.largestMargin)
    report.largestMargin = margin;
  oracle = fast;
}

static double rootMeanSquare(const float *row, int64_t width) {
  double squares = 0;
  for (int64_t i = 0; i < width; ++i)
    squares += double(row[i]) * row[i];
  return std::sqrt(squares / double(width));
}

void takeThresholds(void *context, int64_t dispatch, float *data,
                    const int64_t *shape, int64_t rank) {
  auto &comparison = *static_cast<Comparison *>(context);
  const ComparedValue &value = comparison.oracle.values[size_t(dispatch)];
  const std::vector<size_t> *found = comparison.findKept(value.name);
  if (!value.threshold || rank != 2 || !found)
    return;
  const Kept &kept = comparison.kept[found->front()];
  const std::vector<int64_t> &columns = kept.value->columns;
  int64_t rows = shape[0], width = shape[1];
  int64_t wanted = columns.empty() ? width : int64_t(columns.size());
  // Another shape is reported when the values are compared.
  if (kept.found.rows != rows || kept.found.width != wanted ||
      (!columns.empty() && columns.back() >= width))
    return;
  for (int64_t row = 0; row < rows; ++row) {
    double scale =
        std::max(rootMeanSquare(data + row * width, width), *value.threshold);
    for (int64_t i = 0; i < wanted; ++i)
      if (!comparison.isLeftOut(*kept.value, row, i))
        takeDecision(
            comparison.report.thresholds, *value.threshold, scale,
            kept.found.data[size_t(row * wanted + i)],
            data[row * width + (columns.empty() ? i : columns[size_t(i)])]);
  }
}

} // namespace coppice::rt
