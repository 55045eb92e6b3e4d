// See verify_flags.h.
#include "tools/coppice-run/verify_flags.h"

#include "runtime/base/concat.h"
#include "runtime/routes/route_source.h"
#include "tools/coppice-run/output.h"
#include "tools/coppice-run/seed_check.h"

namespace coppice::rt {

void addVerifyFlags(CLI::App &command, VerifyFlags &flags) {
  CompareOptions &compare = flags.compare;
  command
      .add_option("--isa", compare.isa,
                  "instruction set of the fast path (default: the best that "
                  "this machine runs)")
      ->type_name("NAME");
  command
      .add_option("--batch", compare.workload.batch,
                  "sequences, of unequal lengths (default: 3)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  command
      .add_option("--seq", compare.workload.length,
                  "tokens of the longest sequence (default: 24)")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N");
  command
      .add_option("--seed", compare.workload.seed,
                  "seed of token ids and lengths (default: 0)")
      ->check(seedCheck())
      ->type_name("N");
  command
      .add_option("--threads", compare.threads,
                  "threads (default: all of this process)")
      ->check(CLI::Range(1, 4096))
      ->type_name("N");
  command
      .add_option("--routes", compare.routes,
                  std::string(routeSourceHelp) +
                      " (default: a mix of routers and masks that are special)")
      ->type_name("SPEC");
  command
      .add_option("--json", flags.json,
                  "append one coppice.verify/1 object to this file; - is "
                  "stdout")
      ->type_name("FILE");
}

Status checkVerifyFlags(const VerifyFlags &flags) {
  constexpr int64_t mostRows = int64_t(1) << 24; // of one step, see compile
  if (int64_t rows = largestStepOf(flags.compare.workload); rows > mostRows)
    return invalidArgument(
        concat("expected at most ", mostRows,
               " tokens in all (--batch times --seq), found ", rows));
  return checkAppendable(flags.json);
}

} // namespace coppice::rt
