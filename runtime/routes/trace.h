// Decisions in a file: recorded in one run, replayed in another.
//
// A safetensors file. `slots` I32 [n] and `positions` I32 [n] say which row
// each entry is of, and for each route NAME U8 [n, groups] holds its decisions,
// 0 or 1. `slots` are sequence numbers (sequence_numbers.h): of sequences that
// begin in one step, one in each slot, those are their slots.
#ifndef COPPICE_RUNTIME_ROUTES_TRACE_H
#define COPPICE_RUNTIME_ROUTES_TRACE_H

#include "runtime/routes/route_source.h"

#include <map>
#include <utility>
#include <vector>

namespace coppice::rt {

/// What was decided, by (sequence, position): a value for each of the program's
/// route columns; those of no route stay -1.
class RouteTrace {
public:
  RouteTrace() = default;
  explicit RouteTrace(const Program &program)
      : routes(program.routes), columns(program.routeColumns) {}

  /// Reads and checks a file for `program`. Routes that the program lacks are
  /// ignored. Failures name the file.
  static Result<RouteTrace> load(const std::string &path,
                                 const Program &program);
  /// Replaces the file atomically. Without a row it is an invalid argument.
  Status save(const std::string &path) const;

  /// The decisions of a row, to be filled in; a row that is fed again replaces
  /// what was recorded.
  std::vector<int8_t> &at(int32_t sequence, int32_t position);
  /// Null: the trace lacks the row.
  const std::vector<int8_t> *find(int32_t sequence, int32_t position) const;

  /// Share of kept rows of a route.
  double density(const Route &route) const;

private:
  std::vector<Route> routes;
  int64_t columns = 0;
  std::map<std::pair<int32_t, int32_t>, std::vector<int8_t>> rows;
};

/// Replays a trace; a row that it lacks is an invalid argument that names
/// `path`.
std::unique_ptr<RouteSource> replay(RouteTrace trace, std::string path);

} // namespace coppice::rt

#endif
