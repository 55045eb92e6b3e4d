// coppice: the driver, with the compiler in it. Subcommands that need no
// compiler are those of coppice-run, called in this process.
#include "Commands.h"
#include "tools/coppice-run/Commands.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>

using namespace coppice::driver;

static constexpr const char *kDescription =
    "Compiles pruned language models and sets measured beside predicted "
    "speedups.\n\n"
    "  import   model -> M.mlir            prune    M.mlir -> P.mlir\n"
    "  compile  P.mlir -> B.coppice        verify   fast path against the "
    "oracle\n"
    "  predict  what it will take, without running it\n"
    "  export   P.mlir -> a Hugging Face checkpoint\n"
    "  demo     all of it, with a table\n\n"
    "All commands of coppice-run (info, logits, generate, nll, bench, probe) "
    "work here too;\ncoppice-run has a verify of its own, for two bundles.";

int coppice::driver::runDriver(const std::vector<std::string> &arguments) {
  int exitCode = 0;
  CLI::App app{kDescription, "coppice"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "coppice 0.1.0");
  addImportCommand(app, exitCode);
  addPruneCommand(app, exitCode);
  addPlanCommand(app, exitCode);
  addCompileCommand(app, exitCode);
  addVerifyCommand(app, exitCode);
  addPredictCommand(app, exitCode);
  addExportCommand(app, exitCode);
  addTuneCommand(app, exitCode);
  addDemoCommand(app, exitCode);
  auto isFirst = [&](const CLI::App *command) {
    return command->get_name() == arguments.front();
  };
  auto all = app.get_subcommands([](const CLI::App *) { return true; });
  const bool isOther =
      !arguments.empty() && std::none_of(all.begin(), all.end(), isFirst);
  // `verify` is a command of both; here it compiles.
  if (isOther && isRunCommand(arguments.front())) {
    std::vector<const char *> argv = {"coppice"};
    for (const std::string &argument : arguments)
      argv.push_back(argument.c_str());
    return coppice_run_main(static_cast<int>(argv.size()), argv.data());
  }
  // CLI11 would only say that a subcommand is missing.
  if (isOther && arguments.front().substr(0, 1) != "-") {
    std::fprintf(
        stderr, "coppice: error: unknown subcommand '%s'; see coppice --help\n",
        arguments.front().c_str());
    return 2;
  }
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return exitCode;
}

int main(int argc, char **argv) {
  return runDriver(std::vector<std::string>(argv + 1, argv + argc));
}
