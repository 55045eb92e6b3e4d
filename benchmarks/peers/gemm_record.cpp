// See gemm_record.h.
#include "benchmarks/peers/gemm_record.h"

#include "runtime/base/json.h"
#include "runtime/bench/host.h"
#include "runtime/costmodel/machine.h"

#include <cmath>
#include <cstdarg>
#include <filesystem>

namespace coppice::bench {

using rt::Json;

/// JSON has no NaN: what is not a number is not known.
static Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

static Json sideJson(const SideResult &side) {
  rt::Summary s = side.summary();
  return {{"name", side.name},
          {"version", side.version},
          {"kernel", side.detail},
          {"median_s", number(s.median)},
          {"mean_s", number(s.mean)},
          {"p5_s", number(s.p5)},
          {"p95_s", number(s.p95)},
          {"n", s.n},
          {"difference", number(side.difference)}};
}

std::string gemmRecord(const CellResult &r) {
  const SideResult &peer = r.peers[0];
  rt::Interval interval = r.interval();
  double ours = r.ours.summary().median;
  Json peers = Json::array();
  for (const SideResult &side : r.peers)
    peers.push_back(sideJson(side));
  Json record = {{"schema", "coppice.peers/1"},
                 {"kind", "gemm"},
                 {"peer", peer.name},
                 {"peer_version", peer.version},
                 {"dtype", std::string(rt::nameOf(r.cell.dtype))},
                 {"m", r.cell.m},
                 {"n", r.cell.weight.n},
                 {"k", r.cell.weight.k},
                 {"threads", r.cell.threads},
                 {"ours_s", number(ours)},
                 {"peer_s", number(peer.summary().median)},
                 {"ratio", number(r.ratio)},
                 {"ratio_ci95", {number(interval.low), number(interval.high)}},
                 {"converged", r.converged},
                 {"model", r.cell.weight.model},
                 {"sites", r.cell.weight.sites},
                 {"isa", r.isa},
                 {"copies", r.copies},
                 {"cache", "cold"},
                 {"ours", sideJson(r.ours)},
                 {"peers", peers},
                 {"flops", r.cell.flops()},
                 {"weight_bytes", r.cell.weightBytes()},
                 {"flops_per_s", number(r.cell.flops() / ours)},
                 {"weight_bytes_per_s", number(r.cell.weightBytes() / ours)},
                 {"peak_flops_per_s", number(r.peak)},
                 {"read_bytes_per_s", number(r.bandwidth)},
                 {"predicted_s", number(r.predictedSeconds)},
                 {"bound_s", number(r.boundSeconds)},
                 {"host", rt::hostName()},
                 {"cpu", rt::cpuName()},
                 {"date", rt::utcNow()},
                 {"commit", rt::buildCommit()}};
  return record.dump();
}

static std::string format(const char *pattern, ...) {
  char line[512];
  va_list values;
  va_start(values, pattern);
  std::vsnprintf(line, sizeof line, pattern, values);
  va_end(values);
  return line;
}

std::string gemmHeading() {
  return format("%-22s %5s %6s %6s %-5s%2s %10s %9s %7s %7s  %-24s %10s  %s\n",
                "model sites", "m", "n", "k", "dtype", "t", "ours ms",
                "GFLOP/s", "peak", "read bw", "best peer", "peer ms",
                "peer / ours");
}

std::string gemmRow(const CellResult &r) {
  const SideResult &peer = r.peers[0];
  double ours = r.ours.summary().median;
  rt::Interval i = r.interval();
  std::string site =
      std::string(r.cell.weight.model) + " " + std::string(r.cell.weight.sites);
  return format(
      "%-22s %5lld %6lld %6lld %-5s%2d %10.4f %9.1f %6.0f%% %6.0f%%  %-24s "
      "%10.4f  %.3f [%.3f, %.3f]%s\n",
      site.c_str(), (long long)r.cell.m, (long long)r.cell.weight.n,
      (long long)r.cell.weight.k, std::string(rt::nameOf(r.cell.dtype)).c_str(),
      r.cell.threads, ours * 1e3, r.cell.flops() / ours * 1e-9,
      100 * r.cell.flops() / ours / r.peak,
      100 * r.cell.weightBytes() / ours / r.bandwidth,
      (peer.name + " " + peer.version).c_str(), peer.summary().median * 1e3,
      r.ratio, i.low, i.high, r.converged ? "" : " (cap)");
}

std::string gemmMeans(const std::vector<CellResult> &results) {
  struct Rows {
    const char *name;
    int64_t from, to;
  };
  constexpr Rows classes[] = {{"1", 1, 1},
                              {"2..16", 2, 16},
                              {"17..127", 17, 127},
                              {">= 128", 128, INT64_MAX}};
  std::string text;
  for (int threads : [&] {
         std::vector<int> all;
         for (const CellResult &r : results)
           if (std::find(all.begin(), all.end(), r.cell.threads) == all.end())
             all.push_back(r.cell.threads);
         return all;
       }())
    for (DType dtype : {DType::F32, DType::BF16})
      for (const Rows &rows : classes) {
        std::vector<const CellResult *> cells;
        for (const CellResult &r : results)
          if (r.cell.threads == threads && r.cell.dtype == dtype &&
              r.cell.m >= rows.from && r.cell.m <= rows.to)
            cells.push_back(&r);
        if (cells.empty())
          continue;
        MeanRatio mean = geometricMean(cells);
        auto least =
            std::min_element(cells.begin(), cells.end(), [](auto *a, auto *b) {
              return a->ratio < b->ratio;
            });
        text +=
            format("%-4s m %-8s %d thread%s  geometric mean %.3f [%.3f, "
                   "%.3f] of %zu, least %.3f\n",
                   std::string(rt::nameOf(dtype)).c_str(), rows.name, threads,
                   threads == 1 ? " " : "s", mean.mean, mean.interval.low,
                   mean.interval.high, cells.size(), (*least)->ratio);
      }
  return text;
}

std::string peersPath() {
  std::string machine = rt::defaultMachinePath();
  if (machine.empty())
    return {};
  return std::filesystem::path(machine).replace_filename("peers.jsonl");
}

} // namespace coppice::bench
