// The whole of coppice-run as a function.
#ifndef COPPICE_TOOLS_COPPICE_RUN_RUN_MAIN_H
#define COPPICE_TOOLS_COPPICE_RUN_RUN_MAIN_H

/// Runs `argv[0] SUBCOMMAND ...`. Returns the exit code: 0 done, 1 an input or
/// a check failed, 2 wrong usage. Data goes to stdout, everything else to
/// stderr. Exceptions do not leave it.
int coppice_run_main(int argc, char **argv);

/// Is there a subcommand of that name?
bool coppice_run_has_command(const char *name);

#endif
