// See scratch.h.
#include "runtime/verify/scratch.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace coppice::rt {

namespace {

template <typename To, typename From> void append(To &to, const From &from) {
  to.insert(to.end(), from.begin(), from.end());
}

/// The context of giveLists and giveValues.
struct MadeChoices {
  const ComparedProgram &fast;
  const Fed &fed;
  std::vector<size_t> order; ///< of the fed rows in the step from scratch
};

/// Gives the program the lists that it has made before.
void giveLists(void *context, int64_t dispatch, int32_t *data,
               const int64_t *shape, int64_t rank) {
  auto &made = *static_cast<MadeChoices *>(context);
  const ComparedValue &value = made.fast.values[size_t(dispatch)];
  auto found = made.fed.lists.find(value.name);
  if (!value.isList || rank != 2 || found == made.fed.lists.end())
    return;
  auto width = static_cast<size_t>(shape[1]);
  for (size_t row = 0; row < made.order.size(); ++row)
    for (size_t i = 0; i < width; ++i)
      data[row * width + i] =
          int32_t(found->second[made.order[row] * width + i]);
}

/// The same of what thresholds have decided: a value that is zero in one of the
/// two alone is what it was.
void giveValues(void *context, int64_t dispatch, float *data,
                const int64_t *shape, int64_t rank) {
  auto &made = *static_cast<MadeChoices *>(context);
  const ComparedValue &value = made.fast.values[size_t(dispatch)];
  auto found = made.fed.thresholded.find(value.name);
  if (!value.threshold || rank != 2 || found == made.fed.thresholded.end())
    return;
  auto width = static_cast<size_t>(shape[1]);
  for (size_t row = 0; row < made.order.size(); ++row)
    for (size_t i = 0; i < width; ++i) {
      float before = found->second[made.order[row] * width + i],
            &now = data[row * width + i];
      if ((before == 0) != (now == 0))
        now = before;
    }
}

/// Sequence by sequence, each in ascending positions.
std::vector<size_t> orderBySequence(const StepRows &rows) {
  std::vector<size_t> order(rows.tokens.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::ranges::sort(order, [&](size_t a, size_t b) {
    return std::tie(rows.slots[a], rows.positions[a]) <
           std::tie(rows.slots[b], rows.positions[b]);
  });
  return order;
}

} // namespace

void Fed::add(const StepRows &step, std::span<const float> stepLogits,
              std::span<const Kept> values) {
  append(rows.tokens, step.tokens);
  append(rows.slots, step.slots);
  append(rows.positions, step.positions);
  append(rows.routes, step.routes);
  append(logits, stepLogits);
  for (const Kept &kept : values)
    if (kept.value->isList)
      append(lists[kept.value->name], kept.found.data);
    else if (kept.value->threshold)
      append(thresholded[kept.value->name], kept.found.data);
}

Result<ValueError> compareWithScratch(ComparedProgram &fast, const Fed &fed,
                                      double tolerance) {
  MadeChoices made{fast, fed, orderBySequence(fed.rows)};
  int64_t width = fast.runner.vocabulary(), columns = fast.columns();
  StepRows whole;
  std::vector<float> expected, found;
  for (size_t row : made.order) {
    whole.add(fed.rows.tokens[row], fed.rows.slots[row],
              fed.rows.positions[row], /*head=*/true);
    auto mask = fed.rows.routes.begin() + int64_t(row) * columns;
    whole.routes.insert(whole.routes.end(), mask, mask + columns);
    auto logits = fed.logits.begin() + int64_t(row) * width;
    expected.insert(expected.end(), logits, logits + width);
  }

  coppice_session *session = fast.runner.session();
  coppice_session_observe(session, nullptr, nullptr);
  if (coppice_status code = coppice_session_reset(session, -1))
    return lastFailure(code).at("the fast program cannot be reset");
  coppice_session_edit_lists(session, giveLists, &made);
  coppice_session_edit_values(session, giveValues, &made);
  Status status = fast.runner.step(whole, found);
  coppice_session_edit_lists(session, nullptr, nullptr);
  coppice_session_edit_values(session, nullptr, nullptr);
  if (!status.ok())
    return status.at("the fast program's step from scratch failed");
  ValueError value{"logits, cache or scratch", 0, tolerance, 0};
  value.add(rowError(found, expected.data(), whole.size(), width),
            whole.size());
  return value;
}

} // namespace coppice::rt
