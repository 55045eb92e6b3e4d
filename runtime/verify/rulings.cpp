// In: scores of rows, what was decided of them. Out: decisions that are not
// what the rule of their route makes of the scores, and by how much. Rounding
// may decide a row whose scores are beside the line; it may not decide others.
#include "runtime/verify/rulings.h"

#include "runtime/base/concat.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace coppice::rt {

namespace {

/// What scores decide, and how far they are from deciding otherwise.
struct Ruling {
  bool keeps;
  double margin;
};

/// The rule of a route (runtime/bundle/program.h) for one row and group.
Ruling ruleOn(const Route &route, const Table &scores,
              std::span<const int32_t> slots, int64_t row, int64_t group) {
  auto preference = [&](int64_t r) {
    const float *s = &scores.data[size_t(r * scores.width + 2 * group)];
    double difference = double(s[0]) - s[1];
    // NaN counts as the largest.
    return std::isnan(difference) ? std::numeric_limits<double>::infinity()
                                  : difference;
  };
  double mine = preference(row);
  if (route.top == 0)
    return {!(-mine > route.margin), std::abs(mine + route.margin)};
  // The first to be kept first.
  std::vector<std::pair<double, int64_t>> order;
  for (int64_t r = 0; r < scores.rows; ++r)
    if (slots[size_t(r)] == slots[size_t(row)])
      order.push_back({-preference(r), r});
  std::ranges::sort(order);
  auto kept = static_cast<size_t>(
      std::ceil(route.top * static_cast<double>(order.size())));
  auto place = static_cast<size_t>(
      std::ranges::find(order, row, &std::pair<double, int64_t>::second) -
      order.begin());
  bool keeps = place < kept;
  // The nearest on the other side of the line.
  size_t other = keeps ? kept : kept - 1;
  double margin = other < order.size() ? std::abs(mine + order[other].first)
                                       : std::numeric_limits<double>::max();
  return {keeps, margin};
}

/// Records one row's decisions of a route, given the oracle's scores of it.
void recordDecisions(Comparison &comparison, const Route &route,
                     const Table &scores, double smallest,
                     std::span<const int32_t> slots, int64_t row) {
  RouteReport &report = comparison.report.routes;
  const float *s = &scores.data[size_t(row * scores.width)];
  double squares = 0;
  for (int64_t i = 0; i < scores.width; ++i)
    squares += double(s[i]) * s[i];
  squares = std::max(squares, smallest * smallest);
  for (int64_t group = 0; group < route.groups; ++group) {
    auto element = static_cast<size_t>(row * comparison.fast.columns() +
                                       route.column + group);
    int8_t mask = comparison.masks[element];
    report.rows += 1;
    report.kept += mask;
    int8_t given = comparison.given[element];
    if (given >= 0 && mask != given)
      comparison.fault(concat("route '", route.name, "', row ", row,
                              ": expected the decision that the step gives, ",
                              int(given), ", found ", int(mask)));
    if (given >= 0)
      continue;
    report.decided += 1;
    Ruling ruling = ruleOn(route, scores, slots, row, group);
    if (mask == int8_t(ruling.keeps))
      continue;
    report.disagreements += 1;
    double margin = squares > 0 ? ruling.margin / std::sqrt(squares) : 0;
    if (std::isnan(margin) || margin > report.largestMargin)
      report.largestMargin = margin;
  }
}

} // namespace

void recordRoutes(Comparison &comparison, std::span<const int32_t> slots) {
  auto rows = static_cast<int64_t>(slots.size());
  const std::vector<Route> &routes = comparison.fast.program().routes;
  for (size_t i = 0; i < routes.size(); ++i) {
    const Route &route = routes[i];
    const Scores &scores = comparison.scores[i];
    const Table &found = scores.found;
    if (!scores.seen || found.rows != rows || found.width != 2 * route.groups)
      return comparison.fault(concat(
          "route '", route.name, "': expected scores '", route.scores, "' of ",
          rows, " x ", 2 * route.groups, " from the oracle, found ",
          scores.seen ? concat(found.rows, " x ", found.width)
                      : "none of that name"));
    for (int64_t row = 0; row < rows; ++row)
      recordDecisions(comparison, route, found, comparison.scales[i].norm(),
                      slots, row);
  }
}

} // namespace coppice::rt
