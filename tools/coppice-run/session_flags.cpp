// See session_flags.h.
#include "tools/coppice-run/session_flags.h"

#include <unistd.h>

namespace coppice::rt {

void addBundleArgument(CLI::App &command, std::string &bundle) {
  command.add_option("bundle", bundle, "bundle to run, a directory")
      ->required()
      ->type_name("BUNDLE");
}

void addSessionFlags(CLI::App &command, RunnerOptions &options) {
  command
      .add_option("--target", options.target,
                  "target of the bundle (default: the first that this machine "
                  "can run)")
      ->type_name("NAME");
  command
      .add_option("--threads", options.threads,
                  "threads (default: as many CPUs as this process may use)")
      ->check(CLI::Range(1, 4096))
      ->type_name("N");
  command.add_flag("--allow-nan", options.allowNan,
                   "accept weights that hold NaN or infinity");
}

void addTokenizerFlag(CLI::App &command, std::string &path) {
  command
      .add_option("--tokenizer", path,
                  "llama2.c tokenizer file (default: the bundle's "
                  "tokenizer.bin)")
      ->type_name("FILE");
}

Result<Tokenizer> loadTokenizer(const Runner &runner, const std::string &path) {
  std::string file = path.empty() ? runner.path() + "/tokenizer.bin" : path;
  if (path.empty() && access(file.c_str(), F_OK) != 0)
    return invalidArgument(
        runner.path() +
        ": expected a tokenizer.bin, found none; name one with --tokenizer");
  return Tokenizer::load(file, runner.vocabulary());
}

} // namespace coppice::rt
