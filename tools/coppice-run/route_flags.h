// --routes and --record-routes: who decides which rows dynamic pruning keeps,
// and where it is written what was decided.
#ifndef COPPICE_TOOLS_COPPICE_RUN_ROUTE_FLAGS_H
#define COPPICE_TOOLS_COPPICE_RUN_ROUTE_FLAGS_H

#include "runtime/evaluate/runner.h"

#include <CLI/CLI.hpp>

#include <string>

namespace coppice::rt {

struct RouteFlags {
  std::string source, record; ///< empty: the routers; nowhere
};

/// --routes alone; `byDefault` is what the help says of its absence.
void addRoutesFlag(CLI::App &command, std::string &source,
                   const std::string &byDefault);

/// Both flags.
void addRouteFlags(CLI::App &command, RouteFlags &flags);

/// Before anything runs: what the flags ask for is set up, or refused.
Status applyRouteFlags(const RouteFlags &flags, Runner &runner);

/// After the run: the file of --record-routes, replaced atomically.
Status saveRoutes(const RouteFlags &flags, const Runner &runner);

} // namespace coppice::rt

#endif
