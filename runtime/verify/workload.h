// What `verify` feeds to both programs: a few ragged steps in which sequences
// of unequal lengths are prefilled, continued and decoded side by side.
#ifndef COPPICE_RUNTIME_VERIFY_WORKLOAD_H
#define COPPICE_RUNTIME_VERIFY_WORKLOAD_H

#include "runtime/base/status.h"
#include "runtime/bundle/program.h"
#include "runtime/evaluate/runner.h"

#include <cstdint>
#include <string>
#include <vector>

namespace coppice::rt {

struct WorkloadOptions {
  int64_t batch = 3;      ///< sequences
  int64_t length = 24;    ///< tokens of the longest one, decoded ones included
  int64_t vocabulary = 0; ///< token ids are below this
  uint64_t seed = 0;
};

/// The most rows that a step may have: all of the workload are fed in one, too.
inline int64_t largestStepOf(const WorkloadOptions &options) {
  return options.batch * options.length;
}

/// The same options give the same steps on every machine. Sequence 0 has the
/// full length, the others a random one; slots are a random permutation. The
/// logits of every row are asked for.
std::vector<StepRows> makeWorkload(const WorkloadOptions &options);

/// Could the program have been compiled for such a workload? Else an invalid
/// argument that says what it lacks, and how to compile `path` instead.
Status checkHolds(const std::string &path, const Limits &limits,
                  const WorkloadOptions &options);

} // namespace coppice::rt

#endif
