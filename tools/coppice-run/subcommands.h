// The subcommands: each adds itself, with its flags, to the application. Its
// callback does the work and leaves the outcome in `result`. A failure without
// a message is a check's, whose output has said what failed.
#ifndef COPPICE_TOOLS_COPPICE_RUN_SUBCOMMANDS_H
#define COPPICE_TOOLS_COPPICE_RUN_SUBCOMMANDS_H

#include "runtime/base/status.h"

#include <CLI/CLI.hpp>

namespace coppice::rt {

void addInfo(CLI::App &app, Status &result);
void addLogits(CLI::App &app, Status &result);
void addGenerate(CLI::App &app, Status &result);
void addNll(CLI::App &app, Status &result);
void addBench(CLI::App &app, Status &result);
void addProbe(CLI::App &app, Status &result);
void addVerify(CLI::App &app, Status &result);

} // namespace coppice::rt

#endif
