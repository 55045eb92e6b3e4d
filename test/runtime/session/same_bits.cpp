// usage: runtime-same-bits BUNDLE..
//
// Runs the same ragged steps (prefill, continued prefill beside decode, decode,
// one row alone) with 1, 2, 3 and 5 threads, each twice, and compares all
// logits bit by bit. Exits with 1 at the first difference.
#include "runtime/base/concat.h"
#include "runtime/evaluate/runner.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

using namespace coppice::rt;

namespace {

constexpr int64_t slots = 3, context = 40;

// Tokens that each slot is fed in each step.
constexpr int64_t plan[][slots] = {{17, 5, 1}, {1, 9, 1}, {1, 1, 1},
                                   {0, 1, 0},  {0, 0, 7}, {1, 1, 1}};

Status runPlan(Runner &runner, std::vector<float> &all) {
  int64_t lengths[slots] = {};
  std::vector<float> logits;
  for (const auto &counts : plan) {
    StepRows rows;
    for (int64_t slot = 0; slot < slots; ++slot)
      for (int64_t i = 0; i < counts[slot]; ++i) {
        int64_t position = lengths[slot]++;
        int64_t token = (position * 37 + slot * 11 + 5) % runner.vocabulary();
        rows.add(int32_t(token), int32_t(slot), position, /*head=*/true);
      }
    if (Status status = runner.step(rows, logits); !status.ok())
      return status;
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return {};
}

Status check(const std::string &path) {
  std::vector<float> expected;
  for (int threads : {1, 2, 3, 5}) {
    RunnerOptions options;
    options.threads = threads;
    options.slots = slots;
    options.context = context;
    auto runner = Runner::open(path, options);
    if (!runner)
      return runner.status();
    for (int repeat = 0; repeat < 2; ++repeat) {
      std::vector<float> found;
      if (Status status = runPlan(*runner, found); !status.ok())
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
  std::printf("%s: %zu values have the same bits\n", path.c_str(),
              expected.size());
  return {};
}

} // namespace

int main(int argc, char **argv) {
  for (int i = 1; i < argc; ++i)
    if (Status status = check(argv[i]); !status.ok()) {
      std::fprintf(stderr, "%s: %s\n", argv[i], status.message().c_str());
      return 1;
    }
  return argc > 1 ? 0 : 2;
}
