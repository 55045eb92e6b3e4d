// In: batch, length, seed. Out: ragged steps. The idea: cut each sequence into
// a first piece, a second piece and single tokens at random places, and let
// step i hold piece i of every sequence that still has one. So step 0 is a
// ragged prefill, step 1 mixes prefill that continues a past with decode rows,
// and the rest are decode steps in which sequences run out one by one.
#include "runtime/verify/workload.h"

#include "runtime/base/concat.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace coppice::rt {

namespace {
/// Uniform in [low, high]; std::uniform_int_distribution differs between
/// standard libraries, and the same seed must mean the same steps everywhere.
int64_t draw(std::mt19937_64 &random, int64_t low, int64_t high) {
  return low +
         static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}

/// Lengths of the pieces that a sequence is fed in.
std::vector<int64_t> cutIntoPieces(int64_t length, std::mt19937_64 &random) {
  int64_t decoded = std::min<int64_t>(length - 1, draw(random, 1, 3));
  int64_t prefill = length - decoded;
  int64_t first = draw(random, 1, prefill);
  std::vector<int64_t> pieces = {first};
  if (first < prefill)
    pieces.push_back(prefill - first);
  pieces.insert(pieces.end(), decoded, 1);
  return pieces;
}
} // namespace

std::vector<StepRows> makeWorkload(const WorkloadOptions &options) {
  std::mt19937_64 random(options.seed);
  std::vector<int32_t> slots(options.batch);
  std::iota(slots.begin(), slots.end(), 0);
  for (int64_t i = options.batch - 1; i > 0; --i)
    std::swap(slots[i], slots[draw(random, 0, i)]);

  std::vector<std::vector<int64_t>> pieces;
  for (int64_t sequence = 0; sequence < options.batch; ++sequence) {
    int64_t length =
        sequence == 0 ? options.length : draw(random, 1, options.length);
    pieces.push_back(cutIntoPieces(length, random));
  }

  std::vector<StepRows> steps;
  std::vector<int64_t> fed(options.batch, 0);
  for (size_t index = 0;; ++index) {
    StepRows step;
    for (int64_t sequence = 0; sequence < options.batch; ++sequence) {
      if (index >= pieces[sequence].size())
        continue;
      int64_t count = pieces[sequence][index];
      for (int64_t i = 0; i < count; ++i)
        step.add(static_cast<int32_t>(draw(random, 0, options.vocabulary - 1)),
                 slots[sequence], fed[sequence] + i, /*head=*/true);
      fed[sequence] += count;
    }
    if (step.tokens.empty())
      return steps;
    steps.push_back(std::move(step));
  }
}

namespace {
/// A limit of a program beside what a workload wants of it.
struct LimitCheck {
  const char *what;        ///< behind a number
  int64_t expected, found; ///< wanted, and what the program holds
  const char *compileFlag, *verifyFlags;
};
} // namespace

Status checkHolds(const std::string &path, const Limits &limits,
                  const WorkloadOptions &options) {
  const LimitCheck checks[] = {
      {"sequences", options.batch, limits.slots, "--max-batch", "--batch"},
      {"tokens in each sequence", options.length, limits.context,
       "--max-context", "--seq"},
      {"rows in a step (all of the workload)", largestStepOf(options),
       limits.rows, "--max-rows", "--batch or --seq"}};
  for (const LimitCheck &check : checks)
    if (check.expected > check.found)
      return invalidArgument(
          concat(path, ": expected a program with room for ", check.expected,
                 " ", check.what, ", found room for ", check.found,
                 "; compile it with ", check.compileFlag, " ", check.expected,
                 ", or lower ", check.verifyFlags));
  return {};
}

} // namespace coppice::rt
