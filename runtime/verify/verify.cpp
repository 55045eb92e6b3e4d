// In: two bundles, a workload. Out: the error of each named value, per row.
//
// The fast program runs each step first, the oracle second (observers.h). In
// this order the oracle can be given what the fast program has decided:
// reassociation flips an argmax, and after one other decision two programs have
// nothing left in common.
#include "runtime/verify/verify.h"

#include "runtime/base/concat.h"
#include "runtime/verify/comparison.h"
#include "runtime/verify/observers.h"
#include "runtime/verify/route_mix.h"
#include "runtime/verify/rulings.h"
#include "runtime/verify/scratch.h"
#include "runtime/verify/taken_lists.h"
#include "runtime/verify/thresholds.h"

#include <algorithm>

namespace coppice::rt {

namespace {

/// Are these a fast program and the oracle of the same plan?
Status checkPair(const Program &fast, const Program &oracle) {
  if (fast.model.vocabulary != oracle.model.vocabulary)
    return invalidArgument(
        concat("the two bundles are not of one model: vocabulary ",
               fast.model.vocabulary, " and ", oracle.model.vocabulary));
  if (fast.routeColumns != oracle.routeColumns)
    return invalidArgument(
        concat("the two bundles are not of one plan: decisions in ",
               fast.routeColumns, " and in ", oracle.routeColumns, " columns"));
  return {};
}

/// What the fast program has decided in its last step.
Status readMasks(Comparison &comparison, int64_t rows) {
  comparison.masks = comparison.given; // columns without a route stay open
  const ComparedProgram &fast = comparison.fast;
  const std::vector<Route> &routes = fast.program().routes;
  for (size_t i = 0; i < routes.size(); ++i) {
    Result<std::vector<int8_t>> mask = fast.runner.readRoute(i, rows);
    if (!mask)
      return mask.status().at("the fast program's decisions cannot be read");
    for (int64_t row = 0; row < rows; ++row)
      std::copy_n(
          &(*mask)[size_t(row * routes[i].groups)], routes[i].groups,
          &comparison.masks[size_t(row * fast.columns() + routes[i].column)]);
  }
  return {};
}

/// Runs one step on both programs, and keeps what came of it in `fed`.
Status compareStep(Comparison &comparison, Runner &fast, Runner &oracle,
                   StepRows rows, Fed &fed) {
  comparison.beginStep();
  if (Status status = fast.decide(rows); !status.ok())
    return status;
  comparison.given = rows.routes;
  std::vector<float> found, expected;
  if (Status status = fast.step(rows, found); !status.ok())
    return status.at("the fast program's step failed");
  if (Status status = readMasks(comparison, rows.size()); !status.ok())
    return status;
  rows.routes = comparison.masks;
  if (Status status = oracle.step(rows, expected); !status.ok())
    return status.at("the oracle's step failed");
  comparison.recordValues();
  recordRoutes(comparison, rows.slots);
  if (!comparison.problem.empty())
    return invalidArgument(comparison.problem);
  // Every row is a head row, so rows and logits run in parallel.
  comparison.report.outputs.front().add(
      rowError(found, expected.data(), rows.size(), oracle.vocabulary()),
      rows.size());
  comparison.report.steps += 1;
  comparison.report.rows += rows.size();
  fed.add(rows, found, comparison.kept);
  return {};
}

} // namespace

Result<VerifyReport> compareBundles(const std::string &fastPath,
                                    const std::string &oraclePath,
                                    const CompareOptions &options) {
  RunnerOptions session;
  session.threads = options.threads;
  session.target = options.target;
  session.isa = options.isa;
  auto fast = ComparedProgram::open(fastPath, session, options.workload);
  if (!fast)
    return fast.status();
  session.target.clear();
  session.isa.clear();
  auto oracle = ComparedProgram::open(oraclePath, session, options.workload);
  if (!oracle)
    return oracle.status();
  if (Status status = checkPair(fast->program(), oracle->program());
      !status.ok())
    return status;
  if (options.routes.empty())
    fast->runner.routeBy(makeRouteMix(fast->program()));
  else if (Status status = fast->runner.routeBy(options.routes); !status.ok())
    return status;

  Comparison comparison(*fast, *oracle);
  coppice_session_observe(oracle->runner.session(), observeOracle, &comparison);
  coppice_session_observe(fast->runner.session(), observeFast, &comparison);
  coppice_session_edit_lists(oracle->runner.session(), takeLists, &comparison);
  coppice_session_edit_values(oracle->runner.session(), takeThresholds,
                              &comparison);

  WorkloadOptions workload = options.workload;
  workload.vocabulary = fast->runner.vocabulary();
  Fed fed;
  for (StepRows &rows : makeWorkload(workload))
    if (Status status = compareStep(comparison, fast->runner, oracle->runner,
                                    std::move(rows), fed);
        !status.ok())
      return status;
  auto scratch = compareWithScratch(*fast, fed, comparison.tolerance);
  if (!scratch)
    return scratch.status();
  comparison.report.outputs.push_back(*std::move(scratch));
  if (comparison.report.sites.empty())
    return invalidArgument("the two bundles have no named value in common; "
                           "expected the oracle of the same model");
  return std::move(comparison.report);
}

} // namespace coppice::rt
