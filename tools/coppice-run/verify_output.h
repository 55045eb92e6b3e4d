// What `coppice verify` and `coppice-run verify` print of a comparison.
#ifndef COPPICE_TOOLS_COPPICE_RUN_VERIFY_OUTPUT_H
#define COPPICE_TOOLS_COPPICE_RUN_VERIFY_OUTPUT_H

#include "tools/coppice-run/verify_flags.h"

#include <string>

namespace coppice::rt {

/// Prints the report as a table, unless a record goes to stdout, and appends
/// the record that --json asks for. `input` is what was checked; `oracle` the
/// bundle that it was checked against, empty where that was made for the
/// comparison alone.
Status writeVerifyReport(const std::string &input, const std::string &oracle,
                         const VerifyFlags &flags, const VerifyReport &report);

} // namespace coppice::rt

#endif
