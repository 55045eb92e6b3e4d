// bench-sets: what skipping rows, panels or groups of K at run time, for all
// rows or for each, or N:M weights, buy over our dense kernels; set_bench.h
// says how it is measured.
#include "benchmarks/sets/set_bench.h"

#include "runtime/base/concat.h"
#include "runtime/bench/host.h"
#include "runtime/cpu/thread_count.h"
#include "tools/coppice-run/output.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

using namespace coppice;
using namespace coppice::bench;
using rt::Status;

namespace {

enum ExitCode { done = 0, failed = 1, wrongUsage = 2 };

struct Flags {
  SetBenchOptions bench;
  std::string json, isa = "host";
  std::vector<int> threads;
  std::vector<std::string> dtypes{"f32", "bf16"}, shapes;
  std::vector<std::string> sets; // by name; none: those of `kinds`
  std::vector<int64_t> granules; // none: those of the kind
  double kept = 0.5;
};

/// The products of llama-3.2-1b.
const char *const usualShapes[] = {"512x2048x2048", "512x8192x2048",
                                   "512x2048x8192", "1x8192x2048",
                                   "1x2048x8192"};

struct Kind {
  const char *name;
  SetKind kind;
  std::vector<int64_t> granules; // usual ones
};
const Kind kinds[] = {{"rows", SetKind::Rows, {1}},
                      {"panels", SetKind::Panels, {64, 128}},
                      {"groups", SetKind::Groups, {64, 128, 256}},
                      {"rows-of-panels", SetKind::RowsOfPanels, {64, 128}},
                      {"rows-of-groups", SetKind::RowsOfGroups, {64, 128, 256}},
                      {"pattern", SetKind::Pattern, {4}}};

std::vector<std::string> namesOfKinds() {
  std::vector<std::string> names;
  for (const Kind &kind : kinds)
    names.push_back(kind.name);
  return names;
}

/// Adds to `cells` what `flags` ask for of the product of `cell`.
void addCells(const Flags &flags, SetCell cell, std::vector<SetCell> &cells) {
  for (const Kind &kind : kinds) {
    if (!flags.sets.empty() && std::find(flags.sets.begin(), flags.sets.end(),
                                         kind.name) == flags.sets.end())
      continue;
    bool hasSize = kind.kind != SetKind::Rows && kind.kind != SetKind::Pattern;
    cell.kind = kind.kind;
    for (int64_t granule :
         hasSize && !flags.granules.empty() ? flags.granules : kind.granules) {
      cell.granule = granule;
      bool isOne = cell.kind == SetKind::Rows && cell.m == 1;
      bool isOther = cell.kind == SetKind::Pattern && keptOfGroup(cell) != 1 &&
                     keptOfGroup(cell) != 2;
      if (!isOne && !isOther)
        cells.push_back(cell);
    }
  }
}

bool parseShape(const std::string &text, SetCell &cell) {
  long long m, n, k;
  char rest;
  if (std::sscanf(text.c_str(), "%lldx%lldx%lld%c", &m, &n, &k, &rest) != 3 ||
      m < 1 || n < 1 || k < 1 || m > (1 << 20) || n > (1 << 24) ||
      k > (1 << 24))
    return false;
  cell.m = m;
  cell.n = n;
  cell.k = k;
  return true;
}

nlohmann::ordered_json recordOf(const SetResult &r) {
  auto side = [](const std::vector<double> &samples) {
    rt::Summary s = rt::summarize(samples);
    return nlohmann::ordered_json{{"mean", s.mean},
                                  {"median", s.median},
                                  {"p5", s.p5},
                                  {"p95", s.p95},
                                  {"n", s.n}};
  };
  return {{"schema", "coppice.sets/1"},
          {"set", nameOf(r.cell)},
          {"kept", 1 / r.ideal},
          {"m", r.cell.m},
          {"n", r.cell.n},
          {"k", r.cell.k},
          {"dtype", rt::nameOf(r.cell.dtype)},
          {"threads", r.cell.threads},
          {"isa", r.isa},
          {"cache", "cold"},
          {"dense_s", side(r.dense)},
          {"pruned_s", side(r.pruned)},
          {"ideal_speedup", r.ideal},
          {"measured_speedup", r.speedup},
          {"speedup_ci95", {r.interval.low, r.interval.high}},
          {"converged", r.converged},
          {"host", rt::hostName()},
          {"cpu", rt::cpuName()},
          {"date", rt::utcNow()},
          {"commit", rt::buildCommit()}};
}

void printRow(FILE *table, const SetResult &r) {
  std::fprintf(table,
               "%-22s %5lld %6lld %6lld %-5s%2d %10.4f %10.4f  %.3f [%.3f, "
               "%.3f]%s of %.3f\n",
               nameOf(r.cell).c_str(), (long long)r.cell.m, (long long)r.cell.n,
               (long long)r.cell.k,
               std::string(rt::nameOf(r.cell.dtype)).c_str(), r.cell.threads,
               rt::summarize(r.dense).median * 1e3,
               rt::summarize(r.pruned).median * 1e3, r.speedup, r.interval.low,
               r.interval.high, r.converged ? "" : " (cap)", r.ideal);
  std::fflush(table);
}

Status run(Flags flags) {
  if (flags.shapes.empty())
    flags.shapes.assign(std::begin(usualShapes), std::end(usualShapes));
  std::vector<SetCell> cells;
  for (const std::string &shape : flags.shapes) {
    SetCell cell{};
    if (!parseShape(shape, cell))
      return rt::invalidArgument(
          rt::concat("--shape: expected MxNxK, found '", shape, "'"));
    cell.kept = flags.kept;
    addCells(flags, cell, cells);
  }
  if (Status status = rt::checkAppendable(flags.json); !status.ok())
    return status;
  if (flags.threads.empty()) {
    flags.threads = {1};
    if (rt::usableThreads() > 1)
      flags.threads.push_back(rt::usableThreads());
  }
  FILE *table = flags.json == "-" ? stderr : stdout;
  std::fprintf(table, "%-22s %5s %6s %6s %-5s%2s %10s %10s  %s\n", "set", "m",
               "n", "k", "dtype", "t", "dense ms", "set ms", "dense / set");
  for (int threads : flags.threads)
    for (const std::string &dtype : flags.dtypes)
      for (SetCell cell : cells) {
        cell.dtype = *rt::dtypeNamed(dtype);
        cell.threads = threads;
        cell.kept = flags.kept;
        cell.isa = flags.isa;
        rt::Result<SetResult> result = measureSet(cell, flags.bench);
        if (!result)
          return result.status();
        printRow(table, *result);
        if (!flags.json.empty())
          if (Status status =
                  rt::appendLine(flags.json, recordOf(*result).dump());
              !status.ok())
            return status;
      }
  return {};
}

void describe(CLI::App &app, Flags &flags) {
  app.footer("Exit codes: 0 done, 1 an input or a check failed, 2 wrong "
             "usage.");
  auto list = [&](const char *name, auto &values, const char *help) {
    return app.add_option(name, values, help)
        ->delimiter(',')
        ->allow_extra_args(false);
  };
  app.add_option("--json", flags.json,
                 "append a record a cell (schema coppice.sets/1); - is stdout, "
                 "and the table then goes to stderr")
      ->type_name("FILE");
  list("--threads", flags.threads,
       "threads (default: 1 and as many CPUs as this process may use)")
      ->check(CLI::Range(1, 4096))
      ->type_name("N,..");
  list("--dtype", flags.dtypes, "f32, bf16 or both")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->type_name("TYPE,..");
  list("--shape", flags.shapes, "products (default: those of llama-3.2-1b)")
      ->type_name("MxNxK,..");
  list("--set", flags.sets,
       "kinds of sets: rows, panels, groups (of K), rows-of-panels, "
       "rows-of-groups, pattern (default: all)")
      ->check(CLI::IsMember(namesOfKinds()))
      ->type_name("KIND,..");
  list("--granule", flags.granules,
       "columns or values along K that are kept or left out together (default: "
       "64, 128 and, along K, 256)")
      ->check(CLI::Range(int64_t(16), int64_t(1) << 20))
      ->type_name("N,..");
  app.add_option("--kept", flags.kept, "fraction of granules in the set")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("F");
  app.add_option("--isa", flags.isa, "instruction set, as of `compile`")
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--max-repeats", flags.bench.maxRepeats,
                 "stop a cell after N pairs, though the interval be wider than "
                 "1 %")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(2), int64_t(1) << 30))
      ->type_name("N");
  app.add_option("--max-seconds", flags.bench.maxSeconds,
                 "stop a cell after S seconds likewise, but four pairs")
      ->capture_default_str()
      ->check(CLI::Range(1e-3, 1e9))
      ->type_name("S");
  app.add_option("--seed", flags.bench.seed, "seed of sets, order, bootstrap")
      ->capture_default_str()
      ->type_name("N");
}

} // namespace

int main(int argc, char **argv) {
  Flags flags;
  CLI::App app("Kernels with run-time sets beside our dense ones.",
               "bench-sets");
  describe(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? done : wrongUsage;
  }
  Status status = run(std::move(flags));
  if (status.ok())
    return done;
  std::fprintf(stderr, "bench-sets: error: %s\n", status.message().c_str());
  return failed;
}
