// See RouteMix.h.
#include "coppice/Verify/RouteMix.h"

#include "runtime/routes/bernoulli.h"

namespace coppice {

namespace {
enum Turn { Router, All, None, OneRow, Chance, Alternating, TurnCount };

int8_t decide(Turn turn, const rt::Route &route, int64_t group, int64_t step,
              const rt::RoutedRows &rows, int64_t row) {
  int64_t count = rows.positions.size();
  switch (turn) {
  case All:
    return 1;
  case None:
    return 0;
  case OneRow:
    return row == (step + group) % count;
  case Chance:
    return rt::drawDecision(/*seed=*/step, route.name, group,
                            rows.sequences[row], rows.positions[row], 0.5);
  case Alternating:
    return (row + group) % 2;
  default:
    return -1;
  }
}
} // namespace

std::vector<int8_t> mixDecisions(const rt::Program &program, int64_t step,
                                 const rt::RoutedRows &rows) {
  std::vector<int8_t> decisions(rows.positions.size() * program.routeColumns,
                                -1);
  for (size_t index = 0; step > 0 && index < program.routes.size(); ++index) {
    const rt::Route &route = program.routes[index];
    Turn turn = Turn((step + index) % TurnCount);
    for (size_t row = 0; row < rows.positions.size(); ++row)
      for (int64_t group = 0; group < route.groups; ++group)
        decisions[row * program.routeColumns + route.column + group] =
            decide(turn, route, group, step, rows, row);
  }
  return decisions;
}

} // namespace coppice
