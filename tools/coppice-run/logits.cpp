// coppice-run logits: token ids in, a .npy file of logits out.
#include "runtime/evaluate/npy.h"
#include "tools/coppice-run/route_flags.h"
#include "tools/coppice-run/session_flags.h"
#include "tools/coppice-run/subcommands.h"

#include <memory>

namespace coppice::rt {

namespace {
struct Flags {
  std::string bundle, output;
  std::vector<int32_t> tokens;
  std::vector<std::string> disabled;
  bool all = false;
  RunnerOptions session;
  RouteFlags routes;
};
} // namespace

static Status run(Flags flags) {
  int64_t count = static_cast<int64_t>(flags.tokens.size());
  flags.session.slots = 1;
  if (!flags.all)
    flags.session.maxHeadRows = 1;
  Result<Runner> runner =
      Runner::openWithRows(flags.bundle, flags.session, /*rows=*/512);
  if (!runner)
    return runner.status();
  if (count > runner->context())
    return invalidArgument(
        "tokens: expected at most " + std::to_string(runner->context()) +
        " (the context length), found " + std::to_string(count));
  if (Status status = runner->checkTokens(flags.tokens); !status.ok())
    return status;
  if (Status status = applyRouteFlags(flags.routes, *runner); !status.ok())
    return status;
  for (const std::string &group : flags.disabled)
    if (coppice_status code =
            coppice_session_enable(runner->session(), group.c_str(), 0))
      return lastFailure(code);
  std::vector<float> logits;
  if (Status status = runner->feed(flags.tokens, 0, 0, flags.all, logits);
      !status.ok())
    return status;
  if (Status status = saveRoutes(flags.routes, *runner); !status.ok())
    return status;
  return writeNpy(flags.output, logits, flags.all ? count : 1,
                  runner->vocabulary());
}

void addLogits(CLI::App &app, Status &result) {
  auto flags = std::make_shared<Flags>();
  CLI::App *command = app.add_subcommand(
      "logits", "Write the logits after a sequence of tokens as .npy");
  addBundleArgument(*command, flags->bundle);
  addTokenIds(*command, "--tokens", flags->tokens,
              "token ids, separated by commas; fed from position 0")
      ->required();
  command
      ->add_option("-o,--output", flags->output,
                   "file to write, replaced atomically: f32 [T, vocabulary]")
      ->required()
      ->type_name("FILE");
  command->add_flag("--all", flags->all,
                    "a row for each token (default: T = 1, the last alone)");
  command
      ->add_option("--disable", flags->disabled,
                   "groups of dispatches (sublayers such as layers.3.mlp) to "
                   "leave out, separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("GROUP,..");
  addRouteFlags(*command, flags->routes);
  addSessionFlags(*command, flags->session);
  command->callback([flags, &result] { result = run(*flags); });
}

} // namespace coppice::rt
