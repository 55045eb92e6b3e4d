// bench-gemm: our GEMM kernels beside those of oneDNN and OpenBLAS, in one
// process. gemm_bench.h says how a product is measured.
#include "benchmarks/peers/gemm_bench.h"
#include "benchmarks/peers/gemm_record.h"
#include "benchmarks/peers/onednn.h"
#include "benchmarks/peers/openblas.h"
#include "benchmarks/peers/our_gemm.h"
#include "runtime/base/concat.h"
#include "runtime/bench/machine_file.h"
#include "runtime/cpu/thread_count.h"
#include "tools/coppice-run/output.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <cstdlib>

using namespace coppice::bench;
using coppice::rt::concat;

namespace {

enum ExitCode { done = 0, failed = 1, wrongUsage = 2 };

struct Flags {
  GemmBenchOptions bench;
  std::string json, machine;
  bool quick = false;
  std::vector<int> threads;
  std::vector<std::string> dtypes{"f32", "bf16"}, models, sites, shapes, onednn,
      openblas;
  std::vector<int64_t> rows;
};

void describe(CLI::App &app, Flags &flags) {
  app.footer(
      "Exit codes: 0 done (or skipped: no peer found), 1 an input or a check "
      "failed, 2 wrong usage.\nPeers: cmake/install-packages.sh --peers "
      "installs Debian's; benchmarks/README.md names newer ones.");
  app.add_option("--json", flags.json,
                 "append a record a product (schema coppice.peers/1); - is "
                 "stdout, and the table then goes to stderr")
      ->type_name("FILE");
  app.add_flag("--quick", flags.quick,
               "the products of llama-3.2-1b with 1, 128 and 512 rows");
  auto list = [&](const char *name, auto &values, const char *help) {
    return app.add_option(name, values, help)
        ->delimiter(',')
        ->allow_extra_args(false);
  };
  list("--threads", flags.threads,
       "threads of each side (default: 1 and as many CPUs as this process may "
       "use)")
      ->check(CLI::Range(1, 4096))
      ->type_name("N,..");
  list("--dtype", flags.dtypes, "f32, bf16 or both")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->type_name("TYPE,..");
  list("--model", flags.models, "these models only")->type_name("NAME,..");
  app.add_option("--site", flags.sites,
                 "the products that have one of these sites only (gate, down)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("NAME,..");
  list("--rows", flags.rows, "these numbers of rows instead")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->type_name("M,..");
  app.add_option("--shape", flags.shapes,
                 "MxNxK instead of the products of models; the record is not "
                 "kept for coppice-run bench")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("MxNxK,..");
  app.add_option("--isa", flags.bench.isa,
                 "instruction set of our kernels, as of `compile`; the record "
                 "is then not kept for coppice-run bench")
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--onednn", flags.onednn,
                 "library files of oneDNN (default: those of the system)")
      ->delimiter(',')
      ->type_name("FILE,..");
  app.add_option("--openblas", flags.openblas,
                 "library files of OpenBLAS (default: that of the system)")
      ->delimiter(',')
      ->type_name("FILE,..");
  app.add_option("--machine", flags.machine,
                 "machine description to predict from (default: that of "
                 "`coppice-run probe`)")
      ->type_name("FILE");
  app.add_option("--max-repeats", flags.bench.maxRepeats,
                 "stop a product after N rounds, though the interval be wider "
                 "than 1 %")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(2), int64_t(1) << 30))
      ->type_name("N");
  app.add_option("--max-seconds", flags.bench.maxSeconds,
                 "stop a product after S seconds likewise, but four rounds")
      ->capture_default_str()
      ->check(CLI::Range(1e-3, 1e9))
      ->type_name("S");
  app.add_option("--seed", flags.bench.seed, "seed of order and bootstrap")
      ->capture_default_str()
      ->type_name("N");
}

/// Threads that wait for work shall sleep while another side is measured, but
/// not between the calls of a sample: they spin for less than the pause between
/// two sides. Read by the libraries when they are loaded.
void setThreadWaiting() {
  setenv("GOMP_SPINCOUNT", "20000", /*overwrite=*/0); // about 0.5 ms
  setenv("KMP_BLOCKTIME", "1", /*overwrite=*/0);      // ms
}

std::vector<std::unique_ptr<GemmLibrary>> loadPeers(const Flags &flags,
                                                    Status &status) {
  using Load = Result<std::unique_ptr<GemmLibrary>> (*)(const std::string &);
  std::vector<std::unique_ptr<GemmLibrary>> peers;
  auto load = [&](Load load, const std::vector<std::string> &named,
                  std::vector<std::string> usual) {
    for (const std::string &name : named.empty() ? usual : named) {
      auto peer = load(name);
      if (peer)
        peers.push_back(*std::move(peer));
      else if (!named.empty() && status.ok())
        status = peer.status();
    }
  };
  load(loadOneDNN, flags.onednn, {"libdnnl.so.3", "libdnnl.so.2"});
  load(loadOpenBLAS, flags.openblas, {"libopenblas.so.0"});
  return peers;
}

/// "16x2048x512", into a cell of no model.
bool parseShape(const std::string &text, Cell &cell) {
  long long m, n, k;
  char rest;
  if (std::sscanf(text.c_str(), "%lldx%lldx%lld%c", &m, &n, &k, &rest) != 3 ||
      m < 1 || n < 1 || k < 1 || m > (1 << 20) || n > (1 << 24) ||
      k > (1 << 24))
    return false;
  cell.weight = {"-", "-", n, k};
  cell.m = m;
  return true;
}

bool hasSite(std::string_view sites, const std::vector<std::string> &wanted) {
  std::string all = "," + std::string(sites) + ",";
  for (const std::string &site : wanted)
    if (all.find("," + site + ",") != std::string::npos)
      return true;
  return wanted.empty();
}

/// Everything but dtype and threads.
Status selectCells(const Flags &flags, std::vector<Cell> &cells) {
  for (const std::string &text : flags.shapes) {
    Cell cell{};
    if (!parseShape(text, cell))
      return coppice::rt::invalidArgument(
          concat("--shape: expected MxNxK, found '", text, "'"));
    cells.push_back(cell);
  }
  if (!flags.shapes.empty())
    return {};
  std::vector<int64_t> rows(std::begin(fullRows), std::end(fullRows));
  if (flags.quick)
    rows.assign(std::begin(quickRows), std::end(quickRows));
  if (!flags.rows.empty())
    rows = flags.rows;
  for (const WeightShape &weight : weightShapes()) {
    auto named = [&](const std::string &name) { return name == weight.model; };
    bool wanted =
        flags.models.empty()
            ? !flags.quick || weight.model == weightShapes()[0].model
            : std::any_of(flags.models.begin(), flags.models.end(), named);
    if (wanted && hasSite(weight.sites, flags.sites))
      for (int64_t m : rows)
        if (!weight.head || m <= mostHeadRows)
          cells.push_back({weight, {}, m, 0});
  }
  if (cells.empty())
    return coppice::rt::invalidArgument(
        "expected --model and --site to leave a product, found none; "
        "benchmarks/peers/gemm_shapes.cpp lists them");
  return {};
}

Status run(Flags flags) {
  std::vector<Cell> cells;
  if (Status status = selectCells(flags, cells); !status.ok())
    return status;
  if (Status status = coppice::rt::checkAppendable(flags.json); !status.ok())
    return status;
  if (flags.threads.empty()) {
    flags.threads = {1};
    if (coppice::rt::usableThreads() > 1)
      flags.threads.push_back(coppice::rt::usableThreads());
  }

  setThreadWaiting();
  Status status;
  auto peers = loadPeers(flags, status);
  if (!status.ok())
    return status;
  if (peers.empty()) {
    std::fputs("skipped: found neither oneDNN nor OpenBLAS; "
               "cmake/install-packages.sh --peers installs them\n",
               stderr);
    return {};
  }
  for (const auto &peer : peers)
    std::fprintf(stderr, "peer: %s %s\n", peer->name().c_str(),
                 peer->version().c_str());

  Result<coppice::rt::Machine> machine =
      coppice::rt::machineToPredictFor(flags.machine);
  if (!machine)
    return machine.status();
  Result<GemmBench> bench = GemmBench::create(
      ourKernels(flags.bench.isa), std::move(peers), *machine, flags.bench);
  if (!bench)
    return bench.status();
  FILE *table = flags.json == "-" ? stderr : stdout;
  std::string kept =
      flags.shapes.empty() && flags.bench.isa == "host" ? peersPath() : "";
  if (!kept.empty() && !coppice::rt::makeParents(kept).ok())
    kept.clear();
  std::fputs(gemmHeading().c_str(), table);
  std::vector<CellResult> results;
  for (int threads : flags.threads)
    for (const std::string &dtype : flags.dtypes)
      for (Cell cell : cells) {
        cell.dtype = *coppice::rt::dtypeNamed(dtype);
        cell.threads = threads;
        auto result = bench->measure(cell);
        if (!result)
          return result.status();
        if (!*result) {
          std::fprintf(stderr, "no peer multiplies %s here\n", dtype.c_str());
          break;
        }
        std::fputs(gemmRow(**result).c_str(), table);
        std::fflush(table);
        for (const std::string &path : {flags.json, kept})
          if (!path.empty())
            if (Status status =
                    coppice::rt::appendLine(path, gemmRecord(**result));
                !status.ok())
              return status;
        results.push_back(std::move(**result));
      }
  std::fputs(gemmMeans(results).c_str(), table);
  return {};
}

} // namespace

int main(int argc, char **argv) {
  Flags flags;
  CLI::App app("Our GEMM kernels beside those of oneDNN and OpenBLAS.",
               "bench-gemm");
  describe(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? done : wrongUsage;
  }
  Status status = run(std::move(flags));
  if (status.ok())
    return done;
  std::fprintf(stderr, "bench-gemm: error: %s\n", status.message().c_str());
  return failed;
}
