#include "runtime/session/step_check.h"

#include "runtime/base/concat.h"

#include <algorithm>

namespace coppice::rt {
namespace {

Status checkCounts(const coppice_step &step, const StepLimits &limits) {
  if (step.row_count < 1 || step.row_count > limits.rows)
    return invalidArgument(concat("expected between 1 and ", limits.rows,
                                  " rows in a step, found ", step.row_count));
  if (!step.tokens || !step.slots || !step.positions)
    return invalidArgument("expected tokens, slots and positions, found NULL");
  if (step.head_row_count < 0 || step.head_row_count > limits.headRows)
    return invalidArgument(concat("expected between 0 and ", limits.headRows,
                                  " head rows in a step, found ",
                                  step.head_row_count));
  if (step.head_row_count > 0 && !step.head_rows)
    return invalidArgument("expected head_rows, found NULL");
  return {};
}

Status checkRange(const char *what, int64_t row, int64_t found, int64_t end) {
  if (found >= 0 && found < end)
    return {};
  return invalidArgument(concat("expected a ", what, " in [0, ", end,
                                "), found ", found, " in row ", row));
}

// `next`: the position after the slot's last row of this step, -1 before its
// first.
Status checkPosition(const coppice_step &step, int64_t row, int64_t next,
                     const int64_t *held) {
  int32_t slot = step.slots[row];
  int64_t position = step.positions[row];
  if (next >= 0) {
    if (position == next)
      return {};
    return invalidArgument(concat("expected position ", next, " in row ", row,
                                  ", the one after the previous row of slot ",
                                  slot, ", found ", position));
  }
  if (position == 0 || !held || position == held[slot])
    return {};
  return invalidArgument(concat(
      "expected position ", held[slot], " (slot ", slot, " holds ", held[slot],
      " tokens) or 0 (to start afresh) in row ", row, ", found ", position));
}

Status checkRoutes(const coppice_step &step, int64_t columns) {
  if (!step.routes)
    return {};
  if (columns == 0)
    return invalidArgument("expected no routes in a step of a program that "
                           "takes no decisions, found some");
  for (int64_t i = 0; i < step.row_count * columns; ++i)
    if (step.routes[i] < -1 || step.routes[i] > 1)
      return invalidArgument(
          concat("expected -1 (the router decides), 0 or 1 in routes, found ",
                 int(step.routes[i]), " in row ", i / columns, ", column ",
                 i % columns));
  return {};
}

} // namespace

Result<CheckedStep> checkStep(const coppice_step &step,
                              const StepLimits &limits, const int64_t *held) {
  if (Status status = checkCounts(step, limits); !status.ok())
    return status;
  if (Status status = checkRoutes(step, limits.routeColumns); !status.ok())
    return status;
  CheckedStep checked;
  std::vector<int64_t> next(size_t(limits.slots), -1);
  int64_t attended = 0;
  for (int64_t row = 0; row < step.row_count; ++row) {
    int32_t slot = step.slots[row];
    for (Status status :
         {checkRange("token id", row, step.tokens[row], limits.vocabulary),
          checkRange("slot", row, slot, limits.slots),
          checkRange("position", row, step.positions[row], limits.context)})
      if (!status.ok())
        return status;
    int64_t &slotNext = next[size_t(slot)];
    if (Status status = checkPosition(step, row, slotNext, held); !status.ok())
      return status;
    if (slotNext < 0)
      checked.lengths.emplace_back(slot, 0);
    slotNext = int64_t(step.positions[row]) + 1;
    attended += slotNext;
  }
  for (int64_t i = 0; i < step.head_row_count; ++i)
    if (step.head_rows[i] < 0 || step.head_rows[i] >= step.row_count)
      return invalidArgument(concat("expected head rows in [0, ",
                                    step.row_count, "), found ",
                                    step.head_rows[i], " at ", i));
  int64_t cached = 0;
  for (auto &[slot, length] : checked.lengths)
    cached += length = next[size_t(slot)];
  checked.symbols = {step.row_count, step.head_row_count,
                     limits.slots,   limits.context,
                     attended,       cached};
  return checked;
}

} // namespace coppice::rt
