// What `verify` feeds to both programs: a few ragged steps in which sequences
// of unequal lengths are prefilled, continued and decoded side by side.
#pragma once

#include <cstdint>
#include <vector>

namespace coppice {

/// One step of any mix of rows; fields as in coppice_step (runtime.h). The
/// logits of every row are asked for.
struct WorkloadStep {
  std::vector<int32_t> tokens, slots, positions, headRows;
};

struct WorkloadOptions {
  int64_t batch = 3;      ///< sequences
  int64_t length = 24;    ///< tokens of the longest one, decoded ones included
  int64_t vocabulary = 0; ///< token ids are below this
  uint64_t seed = 0;
};

/// The same options give the same steps on every machine. Sequence 0 has the
/// full length, the others a random one; slots are a random permutation.
std::vector<WorkloadStep> makeWorkload(const WorkloadOptions &options);

} // namespace coppice
