// coppice verify: compiles a module twice, fast and as the oracle, runs both on
// the same ragged steps and prints how far apart they are.
#include "Commands.h"
#include "ScratchDirectory.h"
#include "coppice/Emulator/EmulatorDevice.h"
#include "tools/coppice-run/verify_flags.h"
#include "tools/coppice-run/verify_output.h"
#include "llvm/ADT/StringRef.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

using namespace coppice;
using namespace coppice::driver;

namespace {

struct VerifyCommand {
  std::string input, target, bundle; // no target: that of the bundle, or cpu
  bool fallback = false;
  EmulatorOptions emulator;
  CLI::Option *copies = nullptr; // to see whether they were asked for
  rt::VerifyFlags flags;
};

/// Compiles what is not there yet. Returns the paths of the fast bundle and of
/// the oracle's, or an exit code.
int compileBoth(const VerifyCommand &command, const std::string &directory,
                std::string &fast, std::string &oracle) {
  const rt::CompareOptions &compare = command.flags.compare;
  std::string batch = std::to_string(compare.workload.batch);
  std::string length = std::to_string(compare.workload.length);
  std::string rows = std::to_string(rt::largestStepOf(compare.workload));
  std::vector<std::string> common = {
      "compile", command.input, "--max-batch", batch,        "--max-context",
      length,    "--max-rows",  rows,          "--allow-nan"};
  fast = command.bundle;
  if (fast.empty()) {
    fast = directory + "/fast.coppice";
    std::vector<std::string> arguments = common;
    arguments.insert(arguments.end(),
                     {"-o", fast, "--target",
                      command.target.empty() ? "cpu" : command.target});
    // Code that is not run here need not be compiled.
    if (command.target.empty() || command.target == "cpu")
      arguments.insert(arguments.end(),
                       {"--isa", compare.isa.empty() ? "host" : compare.isa});
    if (!command.fallback)
      arguments.push_back("--force");
    if (int status = runDriver(arguments))
      return status;
  }
  oracle = directory + "/oracle.coppice";
  std::vector<std::string> arguments = common;
  // What the fast path stores in bf16 the oracle rounds too: such a rounding is
  // no error, and a tolerance with room for it would hide some.
  arguments.insert(arguments.end(),
                   {"-o", oracle, "--oracle", "--round-like", fast});
  return runDriver(arguments);
}

int fail(const std::string &message) {
  std::fprintf(stderr, "coppice: error: %s\n", message.c_str());
  return 1;
}

int runVerify(const VerifyCommand &command) {
  const rt::VerifyFlags &flags = command.flags;
  if (rt::Status status = rt::checkVerifyFlags(flags); !status.ok())
    return fail(status.message());
  // A bundle has targets of its own.
  bool isEmulated = command.target.empty()
                        ? !command.bundle.empty()
                        : llvm::StringRef(command.target).starts_with("emu:");
  if (command.copies->count() && !isEmulated)
    return fail("--copies is about emulated targets, such as --target "
                "emu:sm_80, found " +
                (command.target.empty() ? "none" : command.target));
  ScratchDirectory scratch("coppice-verify");
  if (!scratch.valid())
    return 1;
  EmulatorOptions emulator = command.emulator;
  emulator.seed = flags.compare.workload.seed;
  addEmulatorDevice(emulator);
  rt::CompareOptions compare = flags.compare;
  if (!command.bundle.empty())
    compare.target = command.target;
  std::string fast, oracle;
  if (int status = compileBoth(command, scratch.path(), fast, oracle))
    return status;

  rt::Result<rt::VerifyReport> report =
      rt::compareBundles(fast, oracle, compare);
  if (!report)
    return fail(report.status().message());
  rt::Status written =
      rt::writeVerifyReport(command.input, /*oracle=*/"", flags, *report);
  if (!written.ok())
    return fail(written.message());
  return report->holds() ? 0 : 1;
}

} // namespace

void coppice::driver::addVerifyCommand(CLI::App &app, int &exitCode) {
  auto command = std::make_shared<VerifyCommand>();
  CLI::App *verify = app.add_subcommand(
      "verify", "check the fast path against the oracle (dense times mask)");
  verify->add_option("input", command->input, "pruned or dense module (.mlir)")
      ->required();
  verify->add_option("--target", command->target,
                     "target of the fast path; emu:sm_80 executes kernels for "
                     "GPUs on the CPU and reports races, missing waits and "
                     "accesses out of bounds (default: cpu)");
  command->copies =
      verify
          ->add_option(
              "--copies", command->emulator.copies,
              "of emu: when asynchronous copies move their bytes: late, "
              "early or random (default: late)")
          ->transform(CLI::CheckedTransformer(
              std::map<std::string, CopyTime>{{"late", CopyTime::Late},
                                              {"early", CopyTime::Early},
                                              {"random", CopyTime::Random}}));
  verify->add_option("--bundle", command->bundle,
                     "check this bundle of the module, instead of compiling");
  verify->add_flag(
      "--fallback", command->fallback,
      "let the fast path run dense where skipping is predicted not "
      "to pay, as compile does (default: as compile --force)");
  rt::addVerifyFlags(*verify, command->flags);
  verify->callback([command, &exitCode] { exitCode = runVerify(*command); });
}
