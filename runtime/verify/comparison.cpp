// See comparison.h.
#include "runtime/verify/comparison.h"

#include <cmath>
#include <utility>

namespace coppice::rt {

void ScoreScale::add(const Table &scores) {
  for (float score : scores.data)
    squares += double(score) * score;
  rows += scores.rows;
}

double ScoreScale::norm() const {
  return rows ? std::sqrt(squares / double(rows)) : 0;
}

Comparison::Comparison(const ComparedProgram &fast,
                       const ComparedProgram &oracle)
    : fast(fast), oracle(oracle),
      tolerance(verifyTolerance(fast.program().model.dtype)),
      scales(fast.program().routes.size()) {
  report.fastKernels = fast.fastKernels();
  report.dispatches = int64_t(fast.values.size());
  report.dropsBlocks = fast.dropsBlocks();
  report.outputs.push_back({"logits", 0, tolerance, 0});
  report.routes.routes = int64_t(fast.program().routes.size());
  report.routes.tolerance = tolerance;
  report.blocks.tolerance = tolerance;
  report.thresholds.tolerance = tolerance;
}

void Comparison::beginStep() {
  kept.clear();
  keptByName.clear();
  scores.assign(fast.program().routes.size(), {});
  blockScores.clear();
}

void Comparison::recordValues() {
  for (const Kept &value : kept) {
    const std::string &name = value.value->name;
    if (!value.error) {
      fault("value '" + name + "' of the fast program is none of the oracle's");
      continue;
    }
    auto [site, isNew] = sites.try_emplace(name, report.sites.size());
    if (isNew)
      report.sites.push_back({name, 0, tolerance, 0});
    report.sites[site->second].add(*value.error, value.compared);
  }
}

void Comparison::fault(std::string what) {
  if (problem.empty())
    problem = std::move(what);
}

bool Comparison::isLeftOut(const ComparedValue &value, int64_t row,
                           int64_t column) const {
  if (!value.partialRoute)
    return false;
  const Route &route = fast.program().routes[size_t(*value.partialRoute)];
  int64_t group = route.columns ? column / route.columns : 0;
  return group < route.groups &&
         masks[size_t(row * fast.columns() + route.column + group)] ==
             int8_t(value.passed);
}

const std::vector<size_t> *Comparison::findKept(std::string_view name) const {
  auto found = keptByName.find(name);
  return found == keptByName.end() ? nullptr : &found->second;
}

} // namespace coppice::rt
