// coppice-run generate: a prompt in, the text that follows out, as it comes.
#include "runtime/evaluate/generate.h"
#include "tools/coppice-run/route_flags.h"
#include "tools/coppice-run/seed_check.h"
#include "tools/coppice-run/session_flags.h"
#include "tools/coppice-run/subcommands.h"

#include <cstdio>
#include <memory>
#include <string>

namespace coppice::rt {

namespace {
struct Flags {
  std::string bundle, prompt, tokenizer;
  std::vector<int32_t> promptIds;
  int64_t tokens = 64;
  bool greedy = false, ids = false, parseSpecial = false;
  double temperature = 1.0, topP = 1.0;
  uint64_t seed = 1;
  RunnerOptions session;
  RouteFlags routes;
};
} // namespace

static Status run(Flags flags, bool promptIsText) {
  Result<Sampler> sampler = Sampler::create(
      flags.greedy ? 0 : flags.temperature, flags.topP, flags.seed);
  if (!sampler)
    return sampler.status();
  flags.session.slots = 1;
  flags.session.maxHeadRows = 1;
  Result<Runner> runner =
      Runner::openWithRows(flags.bundle, flags.session, /*rows=*/512);
  if (!runner)
    return runner.status();

  if (Status status = applyRouteFlags(flags.routes, *runner); !status.ok())
    return status;

  // Ids in and out need no tokenizer.
  std::unique_ptr<Tokenizer> tokenizer;
  if (promptIsText || !flags.ids) {
    auto loaded = loadTokenizer(*runner, flags.tokenizer);
    if (!loaded)
      return loaded.status();
    tokenizer = *std::move(loaded);
  }
  std::vector<int32_t> prompt = flags.promptIds;
  if (promptIsText) {
    auto encoded = tokenizer->encode(flags.prompt, flags.parseSpecial
                                                       ? SpecialTokens::Parsed
                                                       : SpecialTokens::AsText);
    if (!encoded)
      return encoded.status().at("--prompt");
    prompt = *std::move(encoded);
  }

  bool shown = false;
  auto decoder = tokenizer ? tokenizer->decoder() : nullptr;
  auto write = [](const std::string &text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  auto show = [&](int32_t id) {
    write(flags.ids ? (shown ? "," : "") + std::to_string(id)
                    : decoder->next(id));
    shown = true;
  };
  if (!flags.ids)
    for (int32_t id : prompt)
      show(id);
  Result<StopReason> stopped =
      generate(*runner, prompt, flags.tokens, *sampler, show);
  if (shown)
    write((flags.ids ? "" : decoder->finish()) + "\n");
  if (!stopped)
    return stopped.status();
  if (*stopped == StopReason::Context)
    std::fprintf(stderr, "stopped: the context of %lld tokens is full\n",
                 static_cast<long long>(runner->context()));
  return saveRoutes(flags.routes, *runner);
}

void addGenerate(CLI::App &app, Status &result) {
  auto flags = std::make_shared<Flags>();
  CLI::App *command =
      app.add_subcommand("generate", "Continue a text, token by token");
  addBundleArgument(*command, flags->bundle);
  CLI::Option *text =
      command
          ->add_option("--prompt", flags->prompt,
                       "text to continue; printed before what is generated")
          ->type_name("TEXT");
  CLI::Option *ids = addTokenIds(
      *command, "--tokens-in", flags->promptIds,
      "token ids to continue, separated by commas, instead of a text");
  ids->excludes(text);
  command
      ->add_option("--tokens", flags->tokens,
                   "tokens to add at most; EOS or BOS ends the text before")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(1) << 31))
      ->type_name("N");
  CLI::Option *greedy = command->add_flag(
      "--greedy", flags->greedy, "always take the most probable token");
  command
      ->add_option("--temperature", flags->temperature,
                   "divide the logits by T before drawing; 0 is greedy")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e6))
      ->excludes(greedy)
      ->type_name("T");
  command
      ->add_option("--top-p", flags->topP,
                   "draw from the fewest tokens that have probability P "
                   "together")
      ->capture_default_str()
      ->check(CLI::Range(1e-9, 1.0))
      ->excludes(greedy)
      ->type_name("P");
  command
      ->add_option("--seed", flags->seed,
                   "seed of the draws; the same seed gives the same text")
      ->capture_default_str()
      ->check(seedCheck())
      ->excludes(greedy)
      ->type_name("N");
  command->add_flag("--ids", flags->ids,
                    "print the generated ids, separated by commas, instead of "
                    "text");
  command
      ->add_flag("--parse-special", flags->parseSpecial,
                 "take names of special tokens in the prompt (<|im_end|>) for "
                 "those tokens (default: they are text)")
      ->needs(text);
  addTokenizerFlag(*command, flags->tokenizer);
  addRouteFlags(*command, flags->routes);
  addSessionFlags(*command, flags->session);
  command->callback([flags, text, ids, &result] {
    if (text->count() + ids->count() == 0)
      throw CLI::RequiredError("--prompt or --tokens-in");
    result = run(*flags, text->count() > 0);
  });
}

} // namespace coppice::rt
