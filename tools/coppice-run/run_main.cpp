// See Commands.h.
#include "tools/coppice-run/Commands.h"

#include "tools/coppice-run/subcommands.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

using namespace coppice::rt;

namespace {

enum ExitCode { done = 0, failed = 1, wrongUsage = 2 };

constexpr void (*commands[])(CLI::App &, Status &) = {
    addInfo, addLogits, addGenerate, addNll, addBench, addProbe, addVerify};

} // namespace

static const char *baseName(const char *path) {
  const char *slash = std::strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static int report(const char *program, const Status &status) {
  // What stdout could not take is data lost, whatever the command thought.
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
    std::fprintf(stderr, "%s: error: stdout: %s\n", program,
                 errno ? std::strerror(errno) : "write failed");
    return failed;
  }
  if (status.ok())
    return done;
  if (!status.message().empty()) // else it has been said, see subcommands.h
    std::fprintf(stderr, "%s: error: %s\n", program, status.message().c_str());
  return failed;
}

static void describe(CLI::App &app, Status &result) {
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "print the help of every subcommand");
  app.set_version_flag("--version", std::string(coppice_version()));
  app.footer("Exit codes: 0 done, 1 an input or a check failed, 2 wrong "
             "usage.\nA bundle holds native code: run only those whose maker "
             "you trust. `info` loads no code.");
  for (auto add : commands)
    add(app, result);
}

static bool hasCommand(const CLI::App &app, const std::string &name) {
  for (const CLI::App *command : app.get_subcommands([](const CLI::App *) {
         return true; // not only those that a parse has met
       }))
    if (command->get_name() == name)
      return true;
  return false;
}

int coppice_run_main(int argc, const char *const *argv) {
  const char *program = argc > 0 ? baseName(argv[0]) : "coppice-run";
  Status result;
  try {
    CLI::App app(
        "Runs compiled bundles: inspect, generate, score, measure, compare.",
        program);
    describe(app, result);
    // CLI11 would only say that a subcommand is missing.
    if (argc > 1 && argv[1][0] != '-' && !hasCommand(app, argv[1])) {
      std::fprintf(stderr,
                   "%s: error: unknown subcommand '%s'; see %s --help\n",
                   program, argv[1], program);
      return wrongUsage;
    }
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
      // CLI11 prints help to stdout, errors to stderr, and has codes of its
      // own.
      return app.exit(error) == 0 ? report(program, {}) : wrongUsage;
    }
  } catch (const std::bad_alloc &) {
    result = outOfMemory("out of memory");
  } catch (const std::exception &error) {
    result = internalError(error.what());
  }
  return report(program, result);
}

bool isRunCommand(const std::string &name) {
  Status unused;
  CLI::App app;
  describe(app, unused);
  return hasCommand(app, name);
}
