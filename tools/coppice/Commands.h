// The driver's subcommands. Each lives in a file of its own name and adds
// itself to the CLI11 application; what it finally returns goes into `exitCode`
// (0 done, 1 input or check failed, 2 usage).
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace coppice::driver {

void addImportCommand(CLI::App &app, int &exitCode);
void addPruneCommand(CLI::App &app, int &exitCode);
void addPlanCommand(CLI::App &app, int &exitCode);
void addCompileCommand(CLI::App &app, int &exitCode);
void addVerifyCommand(CLI::App &app, int &exitCode);
void addPredictCommand(CLI::App &app, int &exitCode);
void addExportCommand(CLI::App &app, int &exitCode);
void addTuneCommand(CLI::App &app, int &exitCode);
void addDemoCommand(CLI::App &app, int &exitCode);

/// Runs one driver command line in this process, without the program's name:
/// {"import", "preset:demo", "-o", "m.mlir"}. Returns its exit code.
int runDriver(const std::vector<std::string> &arguments);

} // namespace coppice::driver
