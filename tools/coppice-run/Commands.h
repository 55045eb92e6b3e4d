// The whole of coppice-run as a function, for the two programs that are it:
// coppice-run itself, and `coppice X` where only coppice-run has X.
#ifndef COPPICE_TOOLS_COPPICE_RUN_COMMANDS_H
#define COPPICE_TOOLS_COPPICE_RUN_COMMANDS_H

#include <string>

/// Runs `argv[0] SUBCOMMAND ...`. Returns the exit code: 0 done, 1 an input or
/// a check failed, 2 wrong usage. Data goes to stdout, everything else to
/// stderr. No exception leaves it.
int coppice_run_main(int argc, const char *const *argv);

/// Does coppice-run have a subcommand of that name?
bool isRunCommand(const std::string &name);

#endif
