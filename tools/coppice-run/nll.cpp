// coppice-run nll: a text in, mean negative log-likelihood, perplexity and
// top-1 out.
#include "runtime/evaluate/nll.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/sha256.h"
#include "tools/coppice-run/output.h"
#include "tools/coppice-run/route_flags.h"
#include "tools/coppice-run/session_flags.h"
#include "tools/coppice-run/subcommands.h"

#include <cmath>
#include <cstdio>
#include <memory>

namespace coppice::rt {

namespace {
struct Flags {
  std::string bundle, text, json, tokenizer;
  NllOptions nll;
  RunnerOptions session;
  RouteFlags routes;
};
} // namespace

static Status run(Flags flags) {
  if (Status status = checkAppendable(flags.json); !status.ok())
    return status;
  Result<MappedFile> text = MappedFile::open(flags.text);
  if (!text)
    return text.status();
  // Enough rows to keep the kernels busy; the bundle's limit may be far more
  // than that in memory.
  constexpr int64_t rows = 512;
  Result<Runner> runner =
      Runner::openWithRows(flags.bundle, flags.session, rows);
  if (!runner)
    return runner.status();
  if (Status status = applyRouteFlags(flags.routes, *runner); !status.ok())
    return status;
  auto tokenizer = loadTokenizer(*runner, flags.tokenizer);
  if (!tokenizer)
    return tokenizer.status();

  ProgressLine line;
  Result<Quality> quality =
      evaluateNll(*runner, **tokenizer, text->text(), flags.nll,
                  [&](int64_t done, int64_t all) {
                    line.show("scored " + std::to_string(done) + " of " +
                              std::to_string(all) + " sequences");
                  });
  line.clear();
  if (!quality)
    return quality.status().at(flags.text);
  if (Status status = saveRoutes(flags.routes, *runner); !status.ok())
    return status;

  if (!flags.json.empty())
    if (Status status =
            appendLine(flags.json, qualityRecord(*quality, runner->sha256(),
                                                 sha256(text->text())));
        !status.ok())
      return status;
  if (flags.json != "-")
    std::printf("nll %.6f nats/token  perplexity %.4g  top-1 %.2f %%  "
                "%lld tokens in %lld chunks\n",
                quality->nll, std::exp(quality->nll), quality->top1 * 100,
                static_cast<long long>(quality->tokens),
                static_cast<long long>(quality->chunks));
  return {};
}

void addNll(CLI::App &app, Status &result) {
  auto flags = std::make_shared<Flags>();
  CLI::App *command = app.add_subcommand(
      "nll", "Score a text: mean negative log-likelihood a token");
  addBundleArgument(*command, flags->bundle);
  command->add_option("--text", flags->text, "text to score, UTF-8")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--split-before", flags->nll.splitBefore,
                   "cut into chunks at each blank line that S follows "
                   "(default: the text is one chunk)")
      ->type_name("S");
  constexpr int64_t most = int64_t(1) << 40;
  command
      ->add_option("--chunks", flags->nll.chunks,
                   "score at most N chunks (default: all)")
      ->check(CLI::Range(int64_t(1), most))
      ->type_name("N");
  command->add_option("--skip", flags->nll.skip, "leave out the first N chunks")
      ->check(CLI::Range(int64_t(0), most))
      ->type_name("N");
  CLI::Option *window =
      command
          ->add_option("--window", flags->nll.window,
                       "cover chunks by windows of W tokens (default: cut them "
                       "at the context length)")
          ->check(CLI::Range(int64_t(2), most))
          ->type_name("W");
  CLI::Option *stride = command
                            ->add_option("--stride", flags->nll.stride,
                                         "tokens from one window to the next")
                            ->check(CLI::Range(int64_t(1), most))
                            ->type_name("S");
  window->needs(stride);
  stride->needs(window);
  command
      ->add_option("--json", flags->json,
                   "append a record (schema coppice.quality/1); - is stdout")
      ->type_name("FILE");
  addTokenizerFlag(*command, flags->tokenizer);
  addRouteFlags(*command, flags->routes);
  addSessionFlags(*command, flags->session);
  command->callback([flags, &result] { result = run(*flags); });
}

} // namespace coppice::rt
