// See measured_side.h.
#include "runtime/bench/measured_side.h"

#include <chrono>

namespace coppice::rt {

std::vector<StepRows> randomInputs(const std::vector<StepShape> &steps,
                                   int64_t vocabulary,
                                   std::mt19937_64 &random) {
  std::vector<StepRows> inputs;
  for (const StepShape &shape : steps) {
    StepRows &rows = inputs.emplace_back();
    for (int64_t s = 0; s < shape.batch; ++s)
      for (int64_t i = 0; i < shape.length; ++i) {
        auto token = random() % static_cast<uint64_t>(vocabulary);
        rows.add(static_cast<int32_t>(token), static_cast<int32_t>(s),
                 shape.begin + i, shape.head && i + 1 == shape.length);
      }
  }
  return inputs;
}

Result<MeasuredSide> MeasuredSide::open(const std::string &path,
                                        const RunnerOptions &options) {
  Result<Runner> runner = Runner::open(path, options);
  if (!runner)
    return runner.status();
  return MeasuredSide(*std::move(runner));
}

Status MeasuredSide::prepare(const Cell &cell, std::mt19937_64 &random) {
  if (cell.phase == Phase::Prefill)
    return {};
  auto steps = planSteps({Phase::Prefill, cell.batch, cell.seq},
                         model.maxRows(), model.slots(), model.context());
  if (!steps)
    return steps.status();
  for (StepShape &step : *steps)
    step.head = false;
  for (const StepRows &rows : randomInputs(*steps, model.vocabulary(), random))
    if (Status status = model.step(rows, logits); !status.ok())
      return status;
  return {};
}

/// Takes back what an earlier repeat has decoded.
static Status rewindTo(const Runner &model, const Cell &cell) {
  if (cell.phase == Phase::Prefill)
    return {};
  for (int64_t slot = 0; slot < cell.batch; ++slot)
    if (coppice_status code = coppice_session_rewind(
            model.session(), static_cast<int32_t>(slot), cell.seq))
      return lastFailure(code);
  return {};
}

Result<double> MeasuredSide::time(const Cell &cell,
                                  const std::vector<StepRows> &inputs,
                                  const CacheFlush *flush) {
  if (Status status = rewindTo(model, cell); !status.ok())
    return status;
  if (flush)
    flush->run();
  std::chrono::duration<double> total{};
  for (const StepRows &rows : inputs) {
    auto begin = std::chrono::steady_clock::now();
    Status status = model.step(rows, logits);
    total += std::chrono::steady_clock::now() - begin;
    if (!status.ok())
      return status;
  }
  return total.count();
}

Result<std::vector<double>>
MeasuredSide::timeDispatches(const Cell &cell,
                             const std::vector<StepRows> &inputs,
                             const CacheFlush *flush) {
  std::vector<double> seconds(program().dispatches.size(), 0);
  coppice_session_observe(
      model.session(),
      [](void *context, int64_t dispatch, double time, const float *,
         const int64_t *, int64_t) {
        auto &all = *static_cast<std::vector<double> *>(context);
        all[static_cast<size_t>(dispatch)] += time;
      },
      &seconds);
  Result<double> total = time(cell, inputs, flush);
  coppice_session_observe(model.session(), nullptr, nullptr);
  if (!total)
    return total.status();
  return seconds;
}

} // namespace coppice::rt
