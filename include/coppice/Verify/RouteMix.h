// What `verify` decides in place of routers: every way in which a mask can be
// special, in few steps.
#pragma once

#include "runtime/routes/route_source.h"
#include <vector>

namespace coppice {

/// Decisions [rows, route columns] of a step. The first step leaves all to the
/// routers. In a later one route r goes by turn s + r of: router, all rows,
/// none, one row, half of them by chance, every other row. So every turn comes
/// up at every later step where there are six routes, and over the steps where
/// there are fewer.
std::vector<int8_t> mixDecisions(const rt::Program &program, int64_t step,
                                 const rt::RoutedRows &rows);

} // namespace coppice
