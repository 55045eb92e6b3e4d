// See observers.h.
#include "runtime/verify/observers.h"

#include "runtime/base/concat.h"
#include "runtime/verify/comparison.h"

#include <string_view>

namespace coppice::rt {

namespace {

/// Rows of which the value has an element that is defined.
int64_t countDefinedRows(const IsUndefined &isUndefined, int64_t rows,
                         int64_t width) {
  int64_t defined = 0;
  for (int64_t row = 0; row < rows; ++row) {
    int64_t column = 0;
    while (column < width && isUndefined(row, column))
      ++column;
    defined += column < width;
  }
  return defined;
}

/// Holds one value of the fast program against the oracle's.
void compareValue(Comparison &comparison, Kept &kept, const float *data,
                  int64_t rows, int64_t width) {
  const ComparedValue &value = *kept.value;
  const std::vector<int64_t> &columns = value.columns;
  int64_t wanted = columns.empty() ? width : int64_t(columns.size());
  if (kept.found.rows != rows || kept.found.width != wanted ||
      (!columns.empty() && columns.back() >= width))
    return comparison.fault(concat("value '", value.name, "': expected ", rows,
                                   " x ", wanted, " from the oracle's ", rows,
                                   " x ", width, ", found ", kept.found.rows,
                                   " x ", kept.found.width));
  IsUndefined isUndefined = [&](int64_t row, int64_t column) {
    return comparison.isLeftOut(value, row, column);
  };
  kept.compared = countDefinedRows(isUndefined, rows, wanted);
  double smallest = 0;
  const std::vector<Route> &routes = comparison.fast.program().routes;
  for (size_t i = 0; i < routes.size(); ++i)
    if (routes[i].scores == value.name)
      smallest = comparison.scales[i].norm();
  kept.error = rowError(kept.found.data, data, rows, width, columns,
                        isUndefined, smallest);
}

} // namespace

void observeFast(void *context, int64_t dispatch, double, const float *data,
                 const int64_t *shape, int64_t rank) {
  auto &comparison = *static_cast<Comparison *>(context);
  const ComparedValue &value = comparison.fast.values[size_t(dispatch)];
  if (!data || rank != 2 || value.name.empty() || !value.keepsColumnsOnly)
    return;
  comparison.keptByName[value.name].push_back(comparison.kept.size());
  Kept &kept = comparison.kept.emplace_back();
  kept.value = &value;
  kept.found.assign(data, shape[0], shape[1]);
}

void observeOracle(void *context, int64_t dispatch, double, const float *data,
                   const int64_t *shape, int64_t rank) {
  auto &comparison = *static_cast<Comparison *>(context);
  const std::string &name = comparison.oracle.values[size_t(dispatch)].name;
  if (data && rank == 3 && std::string_view(name).ends_with(".blocks.scores")) {
    BlockScores &scores = comparison.blockScores[name];
    scores.blocks = shape[2];
    scores.found.assign(data, shape[0], shape[1] * shape[2]);
  }
  if (!data || rank != 2 || name.empty())
    return;
  const std::vector<Route> &routes = comparison.fast.program().routes;
  for (size_t i = 0; i < routes.size(); ++i)
    if (routes[i].scores == name) {
      Scores &scores = comparison.scores[i];
      scores.seen = true;
      scores.found.assign(data, shape[0], shape[1]);
      comparison.scales[i].add(scores.found);
    }
  if (const std::vector<size_t> *found = comparison.findKept(name))
    for (size_t index : *found)
      compareValue(comparison, comparison.kept[index], data, shape[0],
                   shape[1]);
}

} // namespace coppice::rt
