// Flags and arguments that several subcommands share.
#ifndef COPPICE_TOOLS_COPPICE_RUN_SESSION_FLAGS_H
#define COPPICE_TOOLS_COPPICE_RUN_SESSION_FLAGS_H

#include "runtime/evaluate/runner.h"
#include "runtime/tokenizer/tokenizer.h"

#include <CLI/CLI.hpp>

namespace coppice::rt {

/// The positional argument BUNDLE.
void addBundleArgument(CLI::App &command, std::string &bundle);

/// --threads, --pin.
void addThreadFlags(CLI::App &command, int &threads, bool &pin);

/// --target, --isa, --threads, --pin, --allow-nan.
void addSessionFlags(CLI::App &command, RunnerOptions &options);

/// A list of token ids, separated by commas; an empty one is wrong usage.
CLI::Option *addTokenIds(CLI::App &command, const std::string &flag,
                         std::vector<int32_t> &ids, const std::string &help);

/// --tokenizer F; by default the bundle's own.
void addTokenizerFlag(CLI::App &command, std::string &path);

/// The tokenizer of that path, or of the bundle when it is empty.
Result<std::unique_ptr<Tokenizer>> loadTokenizer(const Runner &runner,
                                                 const std::string &path);

} // namespace coppice::rt

#endif
