// See route_mix.h.
#include "runtime/verify/route_mix.h"

#include "runtime/routes/bernoulli.h"

#include <algorithm>

namespace coppice::rt {

namespace {
enum Turn { Router, All, None, OneRow, Chance, Alternating, TurnCount };

int8_t decide(Turn turn, const Route &route, int64_t group, int64_t step,
              const RoutedRows &rows, int64_t row) {
  int64_t count = rows.positions.size();
  switch (turn) {
  case All:
    return 1;
  case None:
    return 0;
  case OneRow:
    return row == (step + group) % count;
  case Chance:
    return drawDecision(/*seed=*/step, route.name, group, rows.sequences[row],
                        rows.positions[row], 0.5);
  case Alternating:
    return (row + group) % 2;
  default:
    return -1;
  }
}

class RouteMix : public RouteSource {
public:
  explicit RouteMix(const Program &program) : program(program) {}

  Status decide(const RoutedRows &rows, std::span<int8_t> decisions) override {
    std::ranges::copy(mixDecisions(program, step++, rows), decisions.begin());
    return {};
  }

private:
  const Program &program;
  int64_t step = 0;
};
} // namespace

std::vector<int8_t> mixDecisions(const Program &program, int64_t step,
                                 const RoutedRows &rows) {
  std::vector<int8_t> decisions(rows.positions.size() * program.routeColumns,
                                -1);
  for (size_t index = 0; step > 0 && index < program.routes.size(); ++index) {
    const Route &route = program.routes[index];
    Turn turn = Turn((step + index) % TurnCount);
    for (size_t row = 0; row < rows.positions.size(); ++row)
      for (int64_t group = 0; group < route.groups; ++group)
        decisions[row * program.routeColumns + route.column + group] =
            decide(turn, route, group, step, rows, row);
  }
  return decisions;
}

std::unique_ptr<RouteSource> makeRouteMix(const Program &program) {
  return std::make_unique<RouteMix>(program);
}

} // namespace coppice::rt
