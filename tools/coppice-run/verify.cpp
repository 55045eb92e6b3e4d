// coppice-run verify: a bundle against the oracle's bundle of the same plan,
// where no compiler is. See runtime/verify.
#include "tools/coppice-run/subcommands.h"
#include "tools/coppice-run/verify_flags.h"
#include "tools/coppice-run/verify_output.h"

#include <memory>

namespace coppice::rt {

namespace {
struct Flags {
  std::string fast, oracle;
  VerifyFlags verify;
};
} // namespace

static Status run(const Flags &flags) {
  if (Status status = checkVerifyFlags(flags.verify); !status.ok())
    return status;
  Result<VerifyReport> report =
      compareBundles(flags.fast, flags.oracle, flags.verify.compare);
  if (!report)
    return report.status();
  if (Status status =
          writeVerifyReport(flags.fast, flags.oracle, flags.verify, *report);
      !status.ok())
    return status;
  return report->holds() ? Status() : invalidArgument(""); // which it has said
}

void addVerify(CLI::App &app, Status &result) {
  auto flags = std::make_shared<Flags>();
  CLI::App *command = app.add_subcommand(
      "verify", "Check a bundle against the oracle's (dense times mask)");
  command->add_option("fast", flags->fast, "bundle to check, a directory")
      ->required()
      ->type_name("FAST");
  command
      ->add_option("oracle", flags->oracle,
                   "what `coppice compile --oracle --round-like FAST` has made "
                   "of the same module")
      ->required()
      ->type_name("ORACLE");
  command
      ->add_option("--target", flags->verify.compare.target,
                   "target of FAST (default: the first that this machine can "
                   "run)")
      ->type_name("NAME");
  addVerifyFlags(*command, flags->verify);
  command->footer(
      "Both bundles must hold the workload: see --max-batch, "
      "--max-context and --max-rows of `coppice compile`.\nExit "
      "codes: 0 it holds, 1 it does not hold or there was an error, "
      "2 wrong usage.");
  command->callback([flags, &result] { result = run(*flags); });
}

} // namespace coppice::rt
