// See record.h.
#include "runtime/bench/record.h"

#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/bench/host.h"
#include "runtime/costmodel/machine_json.h"
#include "runtime/costmodel/routing.h"

#include <array>
#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace coppice::rt {

/// JSON has no NaN: what is not a number is not known.
static Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

static Json summaryJson(const Summary &s) {
  return {{"mean", number(s.mean)},
          {"median", number(s.median)},
          {"p5", number(s.p5)},
          {"p95", number(s.p95)},
          {"n", s.n}};
}

/// The fraction by which pruning made a figure smaller.
static Json removedFraction(double dense, double pruned) {
  return dense > 0 ? Json(1 - pruned / dense) : Json();
}

/// The share of the head's GEMM in what the dispatches of a step take.
static Json headShare(const Program &program, const SideResult &side) {
  double head = 0, all = 0;
  for (size_t i = 0; i < side.dispatchSeconds.size(); ++i) {
    all += side.dispatchSeconds[i];
    if (program.dispatches[i].site == "lm_head")
      head += side.dispatchSeconds[i];
  }
  return all > 0 ? Json(head / all) : Json();
}

/// The share of each part in what the dispatches of a step take.
static std::array<double, partCount> partShares(const Program &program,
                                                const SideResult &side) {
  std::array<double, partCount> shares{};
  double all = 0;
  for (size_t i = 0; i < side.dispatchSeconds.size(); ++i) {
    shares[static_cast<size_t>(partOf(program, i))] += side.dispatchSeconds[i];
    all += side.dispatchSeconds[i];
  }
  for (double &share : shares)
    share /= all;
  return shares;
}

static Json sharesJson(const Program &program, const SideResult &side) {
  if (program.routes.empty())
    return nullptr;
  Json json;
  auto shares = partShares(program, side);
  for (int part = 0; part < partCount; ++part)
    json[nameOf(static_cast<Part>(part))] =
        number(shares[static_cast<size_t>(part)]);
  return json;
}

/// What each route has kept; null for a program without routes.
static Json densitiesJson(const Program &program, const SideResult &side) {
  Json json;
  for (size_t r = 0; r < side.routes.size(); ++r)
    json[program.routes[r].name] = number(side.routes[r].density());
  return json;
}

/// Seconds of each part; they sum to measured - bound.
static Json gapJson(const SideResult &side) {
  return {{"gemm_s", number(side.gap.gemm)},
          {"non_gemm_s", number(side.gap.nonGemm)},
          {"dispatch_s", number(side.gap.dispatch)},
          {"host_s", number(side.gap.host)},
          {"residual_s", number(side.gap.residual)}};
}

static Json peersJson(const BenchContext &context) {
  if (!context.denseVsPeer)
    return nullptr;
  const PeerComparison &found = *context.denseVsPeer;
  return {{"ratio", found.ratio},
          {"shapes", found.shapes},
          {"peers", found.peers},
          {"date", found.date}};
}

static Json dispatchesJson(const Program &program, const SideResult &side) {
  Json list = Json::array();
  for (size_t i = 0; i < program.dispatches.size(); ++i) {
    const Dispatch &d = program.dispatches[i];
    const DispatchEstimate &e = side.estimate.dispatches[i];
    bool gemm = d.gemm.has_value();
    list.push_back(
        {{"site", d.site},
         {"kind", std::string(nameOf(d.kind))},
         {"m", gemm ? Json(e.work.m) : Json()},
         {"n", gemm ? Json(e.work.n) : Json()},
         {"k", gemm ? Json(e.work.k) : Json()},
         {"rows", e.work.m > 0 ? e.work.m : e.work.rows},
         {"active_rows", e.work.activeRows},
         {"executed_rows", e.executedRows},
         {"route",
          d.route ? Json(program.routes[static_cast<size_t>(*d.route)].name)
                  : Json()},
         {"arithmetic", std::string(nameOf(e.work.arithmetic))},
         {"flops", e.work.flops},
         {"bytes", e.work.bytes()},
         {"cold_bytes", e.work.coldBytes},
         {"bound_s", e.boundSeconds},
         {"predicted_s", e.predictedSeconds},
         {"measured_s", i < side.dispatchSeconds.size()
                            ? number(side.dispatchSeconds[i])
                            : Json()}});
  }
  return list;
}

static int64_t memoryBytes(const coppice_memory &memory) {
  return memory.weight_bytes + memory.state_bytes + memory.arena_bytes +
         memory.step_bytes;
}

static double relativeError(double predicted, double measured) {
  return predicted / measured - 1;
}

/// Predictions are made of medians, and so are of the median.
static double errorOf(const SideResult &side) {
  return relativeError(side.estimate.predictedSeconds, side.seconds.median);
}

/// Static plans have nothing to fall back from.
static Json fallbackSitesJson(const Program &program) {
  Json sites = Json::array();
  for (const Fallback &fallback : program.fallbacks)
    sites.push_back(fallback.site);
  return sites;
}

static Json adviceJson(const std::vector<Advice> &advice) {
  Json list = Json::array();
  for (const Advice &one : advice)
    list.push_back({{"site", one.site},
                    {"predicted_speedup", number(one.predictedSpeedup)}});
  return list;
}

std::string resultRecord(const BenchContext &context,
                         const CellResult &result) {
  const BenchOptions &options = *context.options;
  const Program &program = *context.pruned;
  const SideResult &pruned = result.pruned;
  const SideResult *dense = result.dense ? &*result.dense : nullptr;

  Json excluded = {"opening the bundles",  "session creation",
                   "warm-up repeats",      "cache flush",
                   "making the token ids", "tokenisation and sampling"};
  if (result.cell.phase == Phase::Decode)
    excluded.push_back("filling the cache, which is done once a cell");
  if (!context.router.empty())
    excluded.push_back("making masks");
  for (const std::string &difference : context.differences)
    excluded.push_back("check of equal " + difference);

  Json json = {
      {"schema", "coppice.results/1"},
      {"model", program.model.name},
      {"source_sha256", program.model.sourceSha256},
      {"plan", program.plan.summary},
      {"plan_sha256", program.plan.sha256},
      {"family", program.plan.family},
      {"sparsity", program.plan.sparsity},
      {"removed",
       {{"flops", dense ? removedFraction(dense->estimate.total.flops,
                                          pruned.estimate.total.flops)
                        : Json()},
        {"bytes", dense ? removedFraction(dense->estimate.total.bytes(),
                                          pruned.estimate.total.bytes())
                        : Json()},
        {"params", program.plan.removedParameters}}},
      // Of dynamic masks; static plans have none.
      {"density", number(pruned.density())},
      {"densities", densitiesJson(program, pruned)},
      {"phase", nameOf(result.cell.phase)},
      {"batch", result.cell.batch},
      {"seq", result.cell.seq},
      {"dtype", program.model.dtype},
      {"device", cpuName()},
      {"target", context.target},
      {"isa", context.isa},
      {"threads", context.threads},
      {"pinned", options.pin},
      {"host", hostName()},
      {"date", context.date},
      {"commit", buildCommit()},
      {"machine_sha256", context.machine->sha256()},
      {"curves", nameOf(context.curves)},
      {"predictions_sha256", context.predictionsSha256},
      {"prediction_ceilings", ratesJson(context.predictionRates)},
      {"measured_ceilings", ratesJson(result.measuredRates)},
      {"bound_ceilings", ratesJson(result.boundCeilings)},
      {"bundle_sha256", pruned.sha256},
      {"dense_bundle_sha256", dense ? Json(dense->sha256) : Json()},
      {"cache", options.hot ? "hot" : "cold"},
      {"seed", options.seed},
      {"dense_s", dense ? summaryJson(dense->seconds) : Json()},
      {"pruned_s", summaryJson(pruned.seconds)},
      {"speedup_ci95", nullptr},
      {"converged", result.converged},
      {"max_repeats", options.maxRepeats},
      {"max_seconds", options.maxSeconds},
      {"bound_s", number(pruned.estimate.boundSeconds)},
      {"dense_bound_s", dense ? number(dense->estimate.boundSeconds) : Json()},
      {"bound_speedup", number(result.boundSpeedup())},
      {"ideal_speedup", number(result.idealSpeedup())},
      {"amdahl_speedup", dense ? number(result.amdahl) : Json()},
      {"dense_predicted_s",
       dense ? number(dense->estimate.predictedSeconds) : Json()},
      {"pruned_predicted_s", number(pruned.estimate.predictedSeconds)},
      {"predicted_speedup", number(result.predictedSpeedup())},
      {"measured_speedup", number(result.measuredSpeedup())},
      {"dense_prediction_error", dense ? number(errorOf(*dense)) : Json()},
      {"pruned_prediction_error", number(errorOf(pruned))},
      {"speedup_prediction_error",
       number(
           relativeError(result.predictedSpeedup(), result.measuredSpeedup()))},
      {"head_share", headShare(program, pruned)},
      {"dense_head_share", dense ? headShare(*context.dense, *dense) : Json()},
      {"gap", gapJson(pruned)},
      {"dense_gap", dense ? gapJson(*dense) : Json()},
      {"fallback_sites", fallbackSitesJson(program)},
      {"advice", dense ? adviceJson(result.advice) : Json()},
      {"router", context.router.empty() ? Json() : Json(context.router)},
      {"shares", sharesJson(program, pruned)},
      {"memory_bytes", memoryBytes(pruned.memory)},
      {"dense_memory_bytes", dense ? Json(memoryBytes(dense->memory)) : Json()},
      {"peak_resident_bytes", peakResidentBytes()},
      {"dense_vs_peer", peersJson(context)},
      {"excluded", excluded},
      {"beaten_bounds", result.beatenBounds()},
      {"ops", nullptr},
  };
  if (dense && std::isfinite(result.speedupInterval.low))
    json["speedup_ci95"] = {result.speedupInterval.low,
                            result.speedupInterval.high};
  if (options.ops) {
    json["ops"] = dispatchesJson(program, pruned);
    if (dense)
      json["dense_ops"] = dispatchesJson(*context.dense, *dense);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

__attribute__((format(printf, 1, 2))) static std::string
format(const char *pattern, ...) {
  char text[512];
  va_list args;
  va_start(args, pattern);
  vsnprintf(text, sizeof text, pattern, args);
  va_end(args);
  return text;
}

std::string tableHeading(bool hasDense) {
  if (!hasDense)
    return format("%-8s %5s %6s %11s %11s %9s %11s %5s\n", "phase", "batch",
                  "seq", "time_ms", "predicted", "error", "bound_ms", "n");
  return format("%-8s %5s %6s %10s %10s  %-16s %9s %7s %7s %7s  %s\n", "phase",
                "batch", "seq", "dense_ms", "pruned_ms", "measured x",
                "predicted", "amdahl", "ideal", "bound",
                "error dense/pruned/x");
}

std::string tableRow(const CellResult &result) {
  const SideResult &pruned = result.pruned;
  double prunedError = errorOf(pruned);
  std::string cell = format("%-8s %5lld %6lld", nameOf(result.cell.phase),
                            static_cast<long long>(result.cell.batch),
                            static_cast<long long>(result.cell.seq));
  if (!result.dense)
    return cell + format(" %11.4f %11.4f %+8.1f%% %11.4f %5lld\n",
                         pruned.seconds.mean * 1e3,
                         pruned.estimate.predictedSeconds * 1e3,
                         prunedError * 100, pruned.estimate.boundSeconds * 1e3,
                         static_cast<long long>(pruned.seconds.n));
  const SideResult &dense = *result.dense;
  double speedup = result.measuredSpeedup();
  double margin =
      (result.speedupInterval.high - result.speedupInterval.low) / 2;
  std::string measured = format("%.3fx +-%.3f%s", speedup, margin,
                                result.converged ? "" : " (cap)");
  return cell + format(" %10.4f %10.4f  %-16s %8.3fx %6.3fx %6.3fx %6.2fx  "
                       "%+.0f%% / %+.0f%% / %+.0f%%\n",
                       dense.seconds.mean * 1e3, pruned.seconds.mean * 1e3,
                       measured.c_str(), result.predictedSpeedup(),
                       result.amdahl, result.idealSpeedup(),
                       result.boundSpeedup(), errorOf(dense) * 100,
                       prunedError * 100,
                       relativeError(result.predictedSpeedup(), speedup) * 100);
}

/// "gap dense 1.2 ms = GEMMs 0.9 (75 %) + ..".
static std::string gapLine(const char *name, const SideResult &side) {
  double all = side.gap.total();
  std::string text =
      format("  gap %-6s %9.4f ms beyond its bound of %.4f ms:", name,
             all * 1e3, side.estimate.boundSeconds * 1e3);
  const char *separator = " ";
  auto add = [&](const char *part, double seconds) {
    text += format("%s%s %.4f (%.0f %%)", separator, part, seconds * 1e3,
                   100 * seconds / all);
    separator = ", ";
  };
  add("GEMMs", side.gap.gemm);
  add("other kernels", side.gap.nonGemm);
  add("dispatch", side.gap.dispatch);
  add("host", side.gap.host);
  add("residual", side.gap.residual);
  return text + "\n";
}

static std::string routesLine(const char *name, const Program &program,
                              const SideResult &side) {
  if (side.routes.empty())
    return "";
  auto shares = partShares(program, side);
  auto percent = [&](Part part) {
    return 100 * shares[static_cast<size_t>(part)];
  };
  return format("  routes %-6s kept %.1f %% of the rows of %zu routes; time of "
                "dispatches: GEMMs %.1f %%, routers %.1f %%, compaction %.1f "
                "%%, other %.1f %%\n",
                name, 100 * side.density(), side.routes.size(),
                percent(Part::Gemm), percent(Part::Router),
                percent(Part::Compaction), percent(Part::Other));
}

std::string routesText(const BenchContext &context, const CellResult &result) {
  std::string text;
  if (result.dense)
    text += routesLine("dense", *context.dense, *result.dense);
  return text + routesLine(result.dense ? "pruned" : "", *context.pruned,
                           result.pruned);
}

std::string gapText(const CellResult &result) {
  std::string text;
  if (result.dense)
    text += gapLine("dense", *result.dense);
  return text + gapLine(result.dense ? "pruned" : "", result.pruned);
}

/// What a dispatch did a second, in the unit of what limits it.
static std::string rateOf(const Work &work, double bound, const Rates &ceilings,
                          double seconds) {
  bool byBytes = work.coldBytes / ceilings.dram >= bound || work.n == 0;
  return byBytes ? format("%.1f GB/s", work.bytes() / seconds / 1e9)
                 : format("%.1f GFLOP/s", work.flops / seconds / 1e9);
}

/// The lines of one bundle.
static std::string sideTable(const char *name, const Program &program,
                             const SideResult &side, const Rates &ceilings) {
  std::string text =
      format("  %-32s %-12s %5s %6s %6s %10s %10s %10s %6s  %s\n", name, "kind",
             "m", "n", "k", "time_us", "pred_us", "bound_us", "bound", "rate");
  for (size_t i = 0; i < program.dispatches.size(); ++i) {
    const Dispatch &d = program.dispatches[i];
    const DispatchEstimate &e = side.estimate.dispatches[i];
    double seconds = side.dispatchSeconds[i];
    auto extent = [&](int64_t value) {
      return d.gemm ? std::to_string(value) : std::string("-");
    };
    text += format(
        "  %-32s %-12s %5s %6s %6s %10.2f %10.2f %10.2f %5.0f%%  %s\n",
        d.site.c_str(), std::string(nameOf(d.kind)).c_str(),
        extent(e.work.m).c_str(), extent(e.work.n).c_str(),
        extent(e.work.k).c_str(), seconds * 1e6, e.predictedSeconds * 1e6,
        e.boundSeconds * 1e6, 100 * e.boundSeconds / seconds,
        rateOf(e.work, e.boundSeconds, ceilings, seconds).c_str());
    if (d.route) {
      text.pop_back();
      text +=
          format("  rows: %.1f active, %.1f executed, of %lld\n",
                 e.work.activeRows, e.executedRows,
                 static_cast<long long>(e.work.m > 0 ? e.work.m : e.work.rows));
    }
  }
  return text;
}

std::string dispatchTable(const BenchContext &context,
                          const CellResult &result) {
  std::string text;
  if (result.dense)
    text +=
        sideTable("dense", *context.dense, *result.dense, result.boundCeilings);
  return text + sideTable(result.dense ? "pruned" : "site", *context.pruned,
                          result.pruned, result.boundCeilings);
}

} // namespace coppice::rt
