// See session_flags.h.
#include "tools/coppice-run/session_flags.h"

#include "runtime/base/mapped_file.h"

#include <charconv>

#include <unistd.h>

namespace coppice::rt {

void addBundleArgument(CLI::App &command, std::string &bundle) {
  command.add_option("bundle", bundle, "bundle to run, a directory")
      ->required()
      ->type_name("BUNDLE");
}

void addThreadFlags(CLI::App &command, int &threads, bool &pin) {
  command
      .add_option("--threads", threads,
                  "threads (default: as many CPUs as this process may use)")
      ->check(CLI::Range(1, 4096))
      ->type_name("N");
  command.add_flag("--pin", pin,
                   "bind each thread to a CPU of its own (default: threads go "
                   "where the system puts them)");
}

void addSessionFlags(CLI::App &command, RunnerOptions &options) {
  command
      .add_option("--target", options.target,
                  "target of the bundle (default: the first that this machine "
                  "can run)")
      ->type_name("NAME");
  command
      .add_option("--isa", options.isa,
                  "instruction set, of those that the bundle has code for "
                  "(default: the best that this machine runs)")
      ->type_name("NAME");
  addThreadFlags(command, options.threads, options.pin);
  command.add_flag("--allow-nan", options.allowNan,
                   "accept weights that hold NaN or infinity");
}

// Not left to CLI11, which takes an empty id for 0 and drops those between two
// commas.
CLI::Option *addTokenIds(CLI::App &command, const std::string &flag,
                         std::vector<int32_t> &ids, const std::string &help) {
  auto parse = [&ids, flag](const std::string &text) {
    ids.clear();
    const char *at = text.data(), *end = at + text.size();
    while (true) {
      int32_t id = 0;
      auto [next, error] = std::from_chars(at, end, id);
      if (error != std::errc() || (next != end && *next != ','))
        throw CLI::ValidationError(
            flag,
            "expected token ids separated by commas, found '" + text + "'");
      ids.push_back(id);
      if (next == end)
        return;
      at = next + 1;
    }
  };
  return command.add_option_function<std::string>(flag, parse, help)
      ->type_name("ID,..");
}

void addTokenizerFlag(CLI::App &command, std::string &path) {
  command
      .add_option("--tokenizer", path,
                  "tokenizer.json (Hugging Face) or tokenizer.bin (llama2.c) "
                  "(default: the bundle's own)")
      ->type_name("FILE");
}

Result<std::unique_ptr<Tokenizer>> loadTokenizer(const Runner &runner,
                                                 const std::string &path) {
  if (!path.empty())
    return Tokenizer::load(path, runner.vocabulary());
  for (const char *name : {"/tokenizer.json", "/tokenizer.bin"}) {
    std::string own = runner.path() + name;
    if (access(own.c_str(), F_OK) != 0)
      continue;
    auto file = MappedFile::open(own, /*followLinks=*/false);
    if (!file)
      return file.status();
    // Opening the bundle has compared its hash with program.json.
    auto tokenizer = Tokenizer::parse(file->text(), runner.vocabulary());
    return tokenizer ? std::move(tokenizer) : tokenizer.status().at(own);
  }
  return invalidArgument(
      runner.path() + ": expected a tokenizer.json or a tokenizer.bin, found "
                      "neither; name one with --tokenizer");
}

} // namespace coppice::rt
