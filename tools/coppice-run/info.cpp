// coppice-run info: what a bundle holds and needs. Loads no code.
#include "runtime/base/json.h"
#include "runtime/base/sha256.h"
#include "runtime/bundle/fallback_text.h"
#include "runtime/cpu/cpu_features.h"
#include "runtime/session/choose_target.h"
#include "tools/coppice-run/output.h"
#include "tools/coppice-run/session_flags.h"
#include "tools/coppice-run/subcommands.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>

namespace coppice::rt {

namespace {

struct Flags {
  std::string bundle, json;
  RunnerOptions request;
  int64_t seq = 0; ///< tokens of a prompt; 0: steps as large as the limits
};

/// Everything that is printed, gathered before the first line is.
struct Facts {
  Program program;
  std::string sha256;
  RunnerOptions request; ///< that `memory` is for, defaults resolved
  coppice_memory memory{};
  const Target *taken = nullptr;          ///< by a session that asks for none
  std::map<std::string, int64_t> kernels; ///< name to dispatches that use it
  std::map<std::string, int64_t> kinds;   ///< kind to dispatches
};

} // namespace

/// Fills in what was not asked for: the bundle's limits, or with a prompt's
/// length what `generate` and `bench` take for it.
static RunnerOptions resolve(const Flags &flags, const Limits &limits) {
  RunnerOptions request = flags.request;
  auto fill = [](int64_t &value, int64_t byDefault) {
    if (value == 0)
      value = byDefault;
  };
  fill(request.slots, flags.seq > 0 ? 1 : limits.slots);
  if (flags.seq > 0) {
    fill(request.maxRows, std::min(limits.rows, request.slots * flags.seq));
    fill(request.context, std::min(limits.context, flags.seq + 1));
    request.maxHeadRows = std::min(request.slots, request.maxRows);
  }
  fill(request.maxRows, limits.rows);
  fill(request.context, limits.context);
  fill(request.maxHeadRows, request.maxRows);
  return request;
}

static int64_t totalBytes(const coppice_memory &memory) {
  return memory.weight_bytes + memory.state_bytes + memory.arena_bytes +
         memory.step_bytes;
}

static Result<Facts> gather(const Flags &flags) {
  coppice_bundle *opened = nullptr;
  if (coppice_status code = coppice_bundle_open(flags.bundle.c_str(), &opened))
    return lastFailure(code);
  std::unique_ptr<coppice_bundle, void (*)(coppice_bundle *)> bundle(
      opened, coppice_bundle_close);
  Facts facts;
  std::string_view text = coppice_bundle_program_json(opened);
  facts.sha256 = sha256(text);
  Result<Program> program = parseProgram(text);
  if (!program)
    return program.status();
  facts.program = *std::move(program);

  if (auto taken = chooseTarget(facts.program, nullptr, nullptr))
    facts.taken = *taken;

  coppice_session_options options{};
  options.struct_size = sizeof options;
  facts.request = resolve(flags, facts.program.limits);
  options.slots = facts.request.slots;
  options.context = facts.request.context;
  options.max_rows = facts.request.maxRows;
  options.max_head_rows = facts.request.maxHeadRows;
  facts.memory.struct_size = sizeof facts.memory;
  if (coppice_status code =
          coppice_bundle_memory(opened, &options, &facts.memory))
    return lastFailure(code);
  for (const Dispatch &dispatch : facts.program.dispatches) {
    ++facts.kinds[std::string(nameOf(dispatch.kind))];
    for (const Variant &variant : dispatch.variants)
      for (const Stage &stage : variant.stages)
        ++facts.kernels[stage.kernel];
  }
  return facts;
}

/// CPU features that a target needs and this machine lacks.
static std::string missingFeatures(const Target &target) {
  std::string missing;
  for (const std::string &feature : target.requires_)
    if (!hasCpuFeature(feature))
      missing += (missing.empty() ? "" : ", ") + feature;
  return missing;
}

static std::string toJson(const Facts &facts) {
  const Program &p = facts.program;
  Json targets = Json::array();
  for (const Target &target : p.targets)
    targets.push_back({{"name", target.name},
                       {"isa", target.isa},
                       {"taken", &target == facts.taken},
                       {"file", target.file},
                       {"bytes", target.bytes},
                       {"sha256", target.sha256},
                       {"requires", target.requires_},
                       {"missing", missingFeatures(target)}});
  Json routes = Json::array();
  for (const Route &route : p.routes)
    routes.push_back({{"name", route.name},
                      {"groups", route.groups},
                      {"expected", route.expected}});
  Json fallbacks = Json::array();
  for (const Fallback &fallback : p.fallbacks)
    fallbacks.push_back({{"site", fallback.site},
                         {"group", fallback.group},
                         {"expected", fallback.expected},
                         {"predicted_speedup", fallback.predictedSpeedup},
                         {"masked", fallback.masked}});
  Json json = {{"schema", "coppice.info/1"},
               {"bundle_sha256", facts.sha256},
               {"producer", p.producer},
               {"model",
                {{"name", p.model.name},
                 {"family", p.model.family},
                 {"dtype", p.model.dtype},
                 {"vocabulary", p.model.vocabulary},
                 {"context", p.model.context},
                 {"layers", p.model.layers},
                 {"parameters", p.model.parameters},
                 {"source_sha256", p.model.sourceSha256}}},
               {"plan",
                {{"summary", p.plan.summary},
                 {"family", p.plan.family},
                 {"sparsity", p.plan.sparsity},
                 {"sha256", p.plan.sha256},
                 {"removed_parameters", p.plan.removedParameters}}},
               {"oracle", p.oracle},
               {"limits",
                {{"rows", p.limits.rows},
                 {"slots", p.limits.slots},
                 {"context", p.limits.context}}},
               {"memory",
                {{"weight_bytes", facts.memory.weight_bytes},
                 {"state_bytes", facts.memory.state_bytes},
                 {"arena_bytes", facts.memory.arena_bytes},
                 {"step_bytes", facts.memory.step_bytes},
                 {"total_bytes", totalBytes(facts.memory)},
                 {"batch", facts.request.slots},
                 {"context", facts.request.context},
                 {"rows", facts.request.maxRows},
                 {"head_rows", facts.request.maxHeadRows}}},
               {"targets", targets},
               {"routes", routes},
               {"fallbacks", fallbacks},
               {"dispatches", facts.kinds},
               {"kernels", facts.kernels}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// A string of the file, fit for a terminal.
static std::string shown(std::string_view text) {
  std::string quoted = quote(text);
  return quoted.substr(1, quoted.size() - 2);
}

static void print(const Facts &facts) {
  const Program &p = facts.program;
  auto row = [](const char *name, const std::string &value) {
    std::printf("%-14s %s\n", name, value.c_str());
  };
  auto number = [](int64_t value) { return std::to_string(value); };
  auto megabytes = [](int64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f MB",
                  static_cast<double>(bytes) / 1e6);
    return std::string(text);
  };
  row("model", shown(p.model.name) + " (" + shown(p.model.family) + ", " +
                   shown(p.model.dtype) + "), " + number(p.model.layers) +
                   " layers, " + number(p.model.parameters) + " parameters");
  row("vocabulary", number(p.model.vocabulary));
  row("context", number(p.model.context));
  row("plan", shown(p.plan.summary) + (p.oracle ? ", oracle" : ""));
  row("limits", number(p.limits.rows) + " rows a step, " +
                    number(p.limits.slots) + " sequences of " +
                    number(p.limits.context) + " tokens");
  row("memory", megabytes(facts.memory.weight_bytes) + " weights, " +
                    megabytes(facts.memory.state_bytes) + " cache, " +
                    megabytes(facts.memory.arena_bytes) +
                    " arena: " + megabytes(totalBytes(facts.memory)) +
                    " in all for " + number(facts.request.slots) + " x " +
                    number(facts.request.context) + " tokens, " +
                    number(facts.request.maxRows) + " rows a step, " +
                    number(facts.request.maxHeadRows) + " with logits");
  row("producer", shown(p.producer));
  row("bundle sha256", facts.sha256);
  row("source sha256", shown(p.model.sourceSha256));
  row("plan sha256", shown(p.plan.sha256));
  for (const Target &target : p.targets) {
    std::string missing = missingFeatures(target);
    row("target", shown(describe(target)) + ": " + shown(target.file) + ", " +
                      number(target.bytes) + " bytes, sha256 " +
                      shown(target.sha256) +
                      (!missing.empty()         ? ", needs " + shown(missing)
                       : &target == facts.taken ? ", runs here: taken"
                                                : ", runs here"));
  }
  for (const Route &route : p.routes) {
    char expected[32];
    std::snprintf(expected, sizeof expected, "%.4g", route.expected);
    row("route", shown(route.name) + ", " + number(route.groups) +
                     (route.groups == 1 ? " group" : " groups") +
                     ", expected to keep " + expected + " of the rows");
  }
  for (const std::string &line : describeFallbacks(p))
    row("fallback", shown(line));
  std::string kinds;
  for (const auto &[kind, count] : facts.kinds)
    kinds += (kinds.empty() ? "" : ", ") + number(count) + " " + kind;
  row("dispatches", kinds);
  for (const auto &[kernel, count] : facts.kernels)
    row("kernel", shown(kernel) + " x" + number(count));
}

static Status run(const Flags &flags) {
  Result<Facts> facts = gather(flags);
  if (!facts)
    return facts.status();
  if (flags.json != "-")
    print(*facts);
  return flags.json.empty() ? Status() : appendLine(flags.json, toJson(*facts));
}

void addInfo(CLI::App &app, Status &result) {
  auto flags = std::make_shared<Flags>();
  CLI::App *command = app.add_subcommand(
      "info", "Show what a bundle holds and needs; loads no code");
  addBundleArgument(*command, flags->bundle);
  auto extent = [&](const char *name, int64_t &value, const char *help) {
    command->add_option(name, value, help)
        ->check(CLI::Range(int64_t(1), int64_t(1) << 40))
        ->type_name("N");
  };
  extent("--batch,--slots", flags->request.slots,
         "sequences of the session whose memory is shown (default: the limit; "
         "with --seq: 1)");
  extent("--seq", flags->seq,
         "tokens of each prompt, its last row with logits: a session as bench "
         "makes it");
  extent("--context", flags->request.context,
         "tokens that each sequence holds (default: the limit; with --seq: one "
         "more than that)");
  extent("--rows", flags->request.maxRows,
         "rows of a step (default: the limit; with --seq: all prompts, at most "
         "the limit)");
  command
      ->add_option("--json", flags->json,
                   "append an object (schema coppice.info/1); - is stdout")
      ->type_name("FILE");
  command->callback([flags, &result] { result = run(*flags); });
}

} // namespace coppice::rt
