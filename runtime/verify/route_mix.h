// What `verify` decides in place of routers: every way in which a mask can be
// special, in few steps.
#ifndef COPPICE_RUNTIME_VERIFY_ROUTE_MIX_H
#define COPPICE_RUNTIME_VERIFY_ROUTE_MIX_H

#include "runtime/routes/route_source.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace coppice::rt {

/// Decisions [rows, route columns] of a step. The first step leaves all to the
/// routers. In a later one route r goes by turn s + r of: router, all rows,
/// none, one row, half of them by chance, every other row. So every turn comes
/// up at every later step where there are six routes, and over the steps where
/// there are fewer.
std::vector<int8_t> mixDecisions(const Program &program, int64_t step,
                                 const RoutedRows &rows);

/// These, for one step after another. The program must outlive it.
std::unique_ptr<RouteSource> makeRouteMix(const Program &program);

} // namespace coppice::rt

#endif
