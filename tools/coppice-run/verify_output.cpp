// See verify_output.h.
#include "tools/coppice-run/verify_output.h"

#include "tools/coppice-run/output.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>

namespace coppice::rt {

namespace {

const char *remark(bool holds) { return holds ? "" : "  beyond tolerance"; }

void printValues(const std::vector<ValueError> &values) {
  for (const ValueError &value : values)
    std::printf("%-28s %10.2e %10.1e  %s\n", value.name.c_str(), value.error,
                value.tolerance, value.holds() ? "" : "beyond tolerance");
}

void printTable(const std::string &input, const WorkloadOptions &workload,
                const VerifyReport &report) {
  std::printf("%s: %lld steps, %lld rows, batch %lld, seed %llu\n",
              input.c_str(), (long long)report.steps, (long long)report.rows,
              (long long)workload.batch, (unsigned long long)workload.seed);
  std::printf("fast kernels %lld/%lld\n", (long long)report.fastKernels,
              (long long)report.dispatches);
  if (const RouteReport &routes = report.routes; routes.routes > 0)
    std::printf("routes %lld, rows kept %lld of %lld, disagreements %lld "
                "(largest margin %.2g)%s\n",
                (long long)routes.routes, (long long)routes.kept,
                (long long)routes.rows, (long long)routes.disagreements,
                routes.largestMargin, remark(routes.holds()));
  if (const BlocksReport &blocks = report.blocks; blocks.lists > 0)
    std::printf("lists of blocks %lld, disagreements %lld (largest margin "
                "%.2g)%s\n",
                (long long)blocks.lists, (long long)blocks.disagreements,
                blocks.largestMargin, remark(blocks.holds()));
  if (const ThresholdsReport &thresholds = report.thresholds;
      thresholds.values > 0)
    std::printf("values at thresholds %lld, disagreements %lld (largest margin "
                "%.2g)%s\n",
                (long long)thresholds.values,
                (long long)thresholds.disagreements, thresholds.largestMargin,
                remark(thresholds.holds()));
  std::printf("%-28s %10s %10s\n", "value", "error", "tolerance");
  printValues(report.outputs);
  printValues(report.sites);
  if (!report.holds() && report.dropsBlocks)
    std::printf("thresholds: blocks beside one may round to either side of "
                "it in 16 bit; what `coppice import --dtype "
                "f32` makes of the model can be compared closely\n");
  std::printf("%s\n", report.holds() ? "holds" : "DOES NOT HOLD");
}

nlohmann::json toJson(const std::vector<ValueError> &values) {
  nlohmann::json list = nlohmann::json::array();
  for (const ValueError &value : values)
    list.push_back({{"name", value.name},
                    {"error", value.error},
                    {"tolerance", value.tolerance},
                    {"rows", value.rows},
                    {"holds", value.holds()}});
  return list;
}

/// Null for a program without routes.
nlohmann::json toJson(const RouteReport &routes) {
  if (routes.routes == 0)
    return nullptr;
  return {{"routes", routes.routes},
          {"rows", routes.rows},
          {"kept", routes.kept},
          {"decided", routes.decided},
          {"disagreements", routes.disagreements},
          {"largest_margin", routes.largestMargin},
          {"tolerance", routes.tolerance},
          {"holds", routes.holds()}};
}

/// Null for a program without choices of blocks.
nlohmann::json toJson(const BlocksReport &blocks) {
  if (blocks.lists == 0)
    return nullptr;
  // JSON has no number for a disagreement that no score can explain.
  nlohmann::json margin = nullptr;
  if (std::isfinite(blocks.largestMargin))
    margin = blocks.largestMargin;
  return {{"lists", blocks.lists},
          {"disagreements", blocks.disagreements},
          {"largest_margin", margin},
          {"tolerance", blocks.tolerance},
          {"holds", blocks.holds()}};
}

/// Null for a program without thresholds of values.
nlohmann::json toJson(const ThresholdsReport &thresholds) {
  if (thresholds.values == 0)
    return nullptr;
  return {{"values", thresholds.values},
          {"disagreements", thresholds.disagreements},
          {"largest_margin", thresholds.largestMargin},
          {"tolerance", thresholds.tolerance},
          {"holds", thresholds.holds()}};
}

nlohmann::json makeRecord(const std::string &input, const std::string &oracle,
                          const WorkloadOptions &workload,
                          const VerifyReport &report) {
  nlohmann::json record = {{"schema", "coppice.verify/1"},
                           {"input", input},
                           {"holds", report.holds()},
                           {"fast_kernels", report.fastKernels},
                           {"dispatches", report.dispatches},
                           {"batch", workload.batch},
                           {"seq", workload.length},
                           {"seed", workload.seed},
                           {"steps", report.steps},
                           {"rows", report.rows},
                           {"routes", toJson(report.routes)},
                           {"blocks", toJson(report.blocks)},
                           {"thresholds", toJson(report.thresholds)},
                           {"outputs", toJson(report.outputs)},
                           {"sites", toJson(report.sites)}};
  if (!oracle.empty())
    record["oracle"] = oracle;
  return record;
}

} // namespace

Status writeVerifyReport(const std::string &input, const std::string &oracle,
                         const VerifyFlags &flags, const VerifyReport &report) {
  const WorkloadOptions &workload = flags.compare.workload;
  if (flags.json != "-")
    printTable(input, workload, report);
  if (flags.json.empty())
    return {};
  return appendLine(flags.json,
                    makeRecord(input, oracle, workload, report).dump());
}

} // namespace coppice::rt
