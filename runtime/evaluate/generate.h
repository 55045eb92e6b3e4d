// A prompt's ids come in, the ids that the model adds go out one by one.
#ifndef COPPICE_RUNTIME_EVALUATE_GENERATE_H
#define COPPICE_RUNTIME_EVALUATE_GENERATE_H

#include "runtime/evaluate/runner.h"
#include "runtime/evaluate/sampler.h"

#include <functional>

namespace coppice::rt {

enum class StopReason {
  Length,  ///< as many tokens as asked for
  End,     ///< the model began a new text (EOS or BOS); that id is not given
  Context, ///< the context is full
};

/// Feeds `prompt` to slot 0 and calls `token` with each of at most `count` new
/// ids, as soon as it is known. An empty prompt, or one that leaves no room in
/// the context, is an invalid argument.
Result<StopReason> generate(Runner &runner, std::span<const int32_t> prompt,
                            int64_t count, Sampler &sampler,
                            const std::function<void(int32_t)> &token);

} // namespace coppice::rt

#endif
