// What `coppice verify`, which compiles the two bundles, and `coppice-run
// verify`, which is given them, can be asked for alike.
#ifndef COPPICE_TOOLS_COPPICE_RUN_VERIFY_FLAGS_H
#define COPPICE_TOOLS_COPPICE_RUN_VERIFY_FLAGS_H

#include "runtime/verify/verify.h"

#include <CLI/CLI.hpp>

#include <string>

namespace coppice::rt {

struct VerifyFlags {
  CompareOptions compare;
  std::string json; ///< empty: no record
};

/// --isa, --batch, --seq, --seed, --threads, --routes, --json.
void addVerifyFlags(CLI::App &command, VerifyFlags &flags);

/// Before anything runs: what cannot be done is refused.
Status checkVerifyFlags(const VerifyFlags &flags);

} // namespace coppice::rt

#endif
