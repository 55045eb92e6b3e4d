// Who decides which rows a sublayer computes: the program's routers, or
// something outside of it that takes their place.
//
//   router             the program's own routers
//   all, none          every row is computed, or passed over
//   bernoulli:P[:SEED] each row is kept with probability P, by chance;
//                      P "expected": that of each route
//   trace:FILE         what a run has recorded (trace.h)
#ifndef COPPICE_RUNTIME_ROUTES_ROUTE_SOURCE_H
#define COPPICE_RUNTIME_ROUTES_ROUTE_SOURCE_H

#include "runtime/base/status.h"
#include "runtime/bundle/program.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace coppice::rt {

/// The rows of a step, as far as decisions may depend on them.
struct RoutedRows {
  std::span<const int32_t> sequences; ///< numbers (sequence_numbers.h)
  std::span<const int32_t> positions;
};

class RouteSource {
public:
  virtual ~RouteSource() = default;

  /// Writes [rows, the program's route columns], all -1 before: -1 the router
  /// decides, 0 passed over, 1 computed.
  virtual Status decide(const RoutedRows &rows,
                        std::span<int8_t> decisions) = 0;

  /// Another draw of masks, where they are drawn: round 0 is the first, the
  /// same round gives the same masks.
  virtual void renew(uint64_t round) {}

  /// The share of rows that it keeps of a route; the route's `expected` where
  /// that is for the routers to say.
  virtual double density(const Route &route) const { return route.expected; }
};

/// Makes the source that `spec` names, for a program. What is malformed is an
/// invalid argument, as is any but "router" for a program without routes.
Result<std::unique_ptr<RouteSource>> makeRouteSource(const std::string &spec,
                                                     const Program &program);

/// What a command line's help says of a spec.
extern const char *const routeSourceHelp;

} // namespace coppice::rt

#endif
