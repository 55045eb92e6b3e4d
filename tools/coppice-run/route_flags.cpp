// See route_flags.h.
#include "tools/coppice-run/route_flags.h"

#include "tools/coppice-run/output.h"

namespace coppice::rt {

void addRoutesFlag(CLI::App &command, std::string &source,
                   const std::string &byDefault) {
  command
      .add_option("--routes", source,
                  std::string(routeSourceHelp) + " (default: " + byDefault +
                      ")")
      ->type_name("SPEC");
}

void addRouteFlags(CLI::App &command, RouteFlags &flags) {
  addRoutesFlag(command, flags.source, "router");
  command
      .add_option("--record-routes", flags.record,
                  "write what was decided, for --routes trace:FILE; replaced "
                  "atomically")
      ->type_name("FILE");
}

Status applyRouteFlags(const RouteFlags &flags, Runner &runner) {
  if (!flags.source.empty())
    if (Status status = runner.routeBy(flags.source); !status.ok())
      return status.at("--routes");
  if (flags.record.empty())
    return {};
  if (Status status = checkReplaceable(flags.record); !status.ok())
    return status;
  return runner.recordRoutes();
}

Status saveRoutes(const RouteFlags &flags, const Runner &runner) {
  return flags.record.empty() ? Status()
                              : runner.recordedRoutes().save(flags.record);
}

} // namespace coppice::rt
