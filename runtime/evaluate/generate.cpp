// See generate.h.
#include "runtime/evaluate/generate.h"

#include "runtime/base/concat.h"

namespace coppice::rt {

Result<StopReason> generate(Runner &runner, std::span<const int32_t> prompt,
                            int64_t count, Sampler &sampler,
                            const std::function<void(int32_t)> &token) {
  int64_t position = static_cast<int64_t>(prompt.size());
  if (prompt.empty() || position > runner.context())
    return invalidArgument(concat("prompt: expected 1 to ", runner.context(),
                                  " tokens (the context length), found ",
                                  position));
  if (Status status = runner.checkTokens(prompt); !status.ok())
    return status;
  if (count < 1)
    return StopReason::Length;

  std::vector<float> logits;
  if (Status status = runner.feed(prompt, 0, 0, /*all=*/false, logits);
      !status.ok())
    return status;
  for (int64_t made = 0;; ++position) {
    Result<int32_t> next = sampler.next(logits);
    if (!next)
      return next.status();
    const Model &model = runner.program().model;
    if (*next == model.eos || *next == model.bos)
      return StopReason::End;
    token(*next);
    if (++made == count)
      return StopReason::Length;
    if (position == runner.context())
      return StopReason::Context;
    if (Status status = runner.feed({&*next, 1}, 0, position, false, logits);
        !status.ok())
      return status;
  }
}

} // namespace coppice::rt
