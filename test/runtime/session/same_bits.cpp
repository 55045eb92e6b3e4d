// usage: runtime-same-bits BUNDLE..
//
// Runs the same ragged steps (prefill, continued prefill beside decode, decode,
// one row alone) with 1, 2, 3 and 5 threads, each twice, and compares all
// logits bit by bit. Where the bundle's context has room for it, again with
// prompts long enough that rows come in several blocks and the positions that
// decode attends to in several chunks. Exits with 1 at the first difference.
#include "runtime/base/concat.h"
#include "runtime/evaluate/runner.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

using namespace coppice::rt;

namespace {

constexpr int64_t slots = 3;

// Tokens that each slot is fed in each step.
constexpr int64_t plan[][slots] = {{17, 5, 1}, {1, 9, 1}, {1, 1, 1},
                                   {0, 1, 0},  {0, 0, 7}, {1, 1, 1}};

/// A step that feeds one token feeds one in any case: it is decode.
int64_t scaled(int64_t count, int64_t factor) {
  return count > 1 ? count * factor : count;
}

int64_t longest(int64_t factor) {
  int64_t most = 0;
  for (int64_t slot = 0; slot < slots; ++slot) {
    int64_t length = 0;
    for (const auto &counts : plan)
      length += scaled(counts[slot], factor);
    most = std::max(most, length);
  }
  return most;
}

Status runPlan(Runner &runner, int64_t factor, std::vector<float> &all) {
  int64_t lengths[slots] = {};
  std::vector<float> logits;
  for (const auto &counts : plan) {
    StepRows rows;
    for (int64_t slot = 0; slot < slots; ++slot)
      for (int64_t i = 0; i < scaled(counts[slot], factor); ++i) {
        int64_t position = lengths[slot]++;
        int64_t token = (position * 37 + slot * 11 + 5) % runner.vocabulary();
        // Of long prompts, the last row's logits: they depend on all others.
        bool head = factor == 1 || i + 1 == scaled(counts[slot], factor);
        rows.add(int32_t(token), int32_t(slot), position, head);
      }
    if (Status status = runner.step(rows, logits); !status.ok())
      return status;
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return {};
}

Status check(const std::string &path, int64_t factor) {
  std::vector<float> expected;
  for (int threads : {1, 2, 3, 5}) {
    RunnerOptions options;
    options.threads = threads;
    options.slots = slots;
    options.context = longest(factor);
    auto runner = Runner::open(path, options);
    if (!runner)
      return runner.status();
    for (int repeat = 0; repeat < 2; ++repeat) {
      std::vector<float> found;
      if (Status status = runPlan(*runner, factor, found); !status.ok())
        return status;
      if (expected.empty())
        expected = found;
      if (found.size() != expected.size())
        return internalError("expected as many logits as before");
      for (size_t i = 0; i < found.size(); ++i)
        if (std::memcmp(&found[i], &expected[i], sizeof(float)) != 0)
          return internalError(concat(
              "value ", i, " with ", threads, " threads, repeat ", repeat,
              ": expected the bits of ", expected[i], ", found ", found[i]));
    }
  }
  if (std::all_of(expected.begin(), expected.end(),
                  [&](float value) { return value == expected[0]; }))
    return internalError("expected logits that differ from one another");
  std::printf("%s: %zu values of up to %lld positions have the same bits\n",
              path.c_str(), expected.size(),
              static_cast<long long>(longest(factor)));
  return {};
}

Status checkAll(const std::string &path) {
  constexpr int64_t longFactor = 37;
  if (Status status = check(path, 1); !status.ok())
    return status;
  coppice_bundle *bundle = nullptr;
  if (coppice_status code = coppice_bundle_open(path.c_str(), &bundle))
    return lastFailure(code);
  Result<Program> program = parseProgram(coppice_bundle_program_json(bundle));
  coppice_bundle_close(bundle);
  if (!program)
    return program.status();
  if (program->limits.context < longest(longFactor))
    return {};
  return check(path, longFactor);
}

} // namespace

int main(int argc, char **argv) {
  for (int i = 1; i < argc; ++i)
    if (Status status = checkAll(argv[i]); !status.ok()) {
      std::fprintf(stderr, "%s: %s\n", argv[i], status.message().c_str());
      return 1;
    }
  return argc > 1 ? 0 : 2;
}
