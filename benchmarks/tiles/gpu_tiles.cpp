// gpu-tiles: the tiles of products on a GPU as a table: what each takes of a
// processor, and what it is predicted to make of one. `-o docs/gpu-tiles.md`
// writes it anew, `--check docs/gpu-tiles.md` tells whether that is due, by all
// but what ptxas says.
#include "benchmarks/tiles/tile_kernel.h"

#include "runtime/base/atomic_file.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include <CLI/CLI.hpp>
#include <functional>

using namespace coppice;
using namespace coppice::bench;
using llvm::formatv;
using nvptx::GemmConfig;

namespace {

constexpr int64_t kRowCounts[] = {16, 128, 512, 4096};
constexpr int64_t kWidth = 4096; // N and K

/// Warps of 64 that an A100's processor holds at once.
int64_t residentWarps(const GemmConfig &config, int64_t registers) {
  using nvptx::Processor;
  constexpr int64_t kUnit = 8; // in which registers are given out
  int64_t ofThread = (registers + kUnit - 1) / kUnit * kUnit;
  int64_t warps = config.threads() / 32;
  return warps * std::min({Processor::registers / (ofThread * config.threads()),
                           Processor::sharedBytes /
                               (config.sharedBytes() + Processor::systemBytes),
                           Processor::warps / warps, Processor::blocks});
}

double efficiencyOf(const GemmConfig &config, int64_t rows) {
  nvptx::GemmShape shape{rows, kWidth, kWidth, kWidth, kWidth};
  shape.twoOfFour = config.twoOfFour;
  return predictEfficiency(
      nvptx::chooseSplits(config, shape, nvptx::getMostPartBytes(rows)), shape);
}

/// What does not depend on ptxas.
std::string describe(const GemmConfig &config) {
  return formatv("| {0} x {1} x {2} | {3} x {4} | {5} | {6} | {7:f1} |",
                 config.rows, config.columns, config.depth, config.warpRows,
                 config.warpColumns, config.stages, config.threads(),
                 double(config.sharedBytes()) / 1024)
      .str();
}

std::string predict(const GemmConfig &config) {
  std::string text;
  for (int64_t rows : kRowCounts)
    text += formatv(" {0:f0} % |", 100 * efficiencyOf(config, rows)).str();
  return text;
}

constexpr llvm::StringLiteral kHeader = R"(# Tiles of products on a GPU

Strategies `gemm` and `gemm_2of4` compute a tile of M x N results a block, in steps of so many values along K; each warp of the block has a part of the tile. The choice among these is made by
`chooseGemmConfig` (`lib/Codegen/NVPTX/GemmConfig.cpp`), by shape. `gpu-tiles -o docs/gpu-tiles.md` has written this file.

- **registers** of a thread and **warps** of 64 that a processor holds at once: by ptxas for sm_80, of a product of bf16 with a list of rows and a residual. None spills, and ptxas warns of none.
- **shared**: KiB of a block.
- **predicted**: the least time that an A100 could take for all products and bytes, over the time that the model predicts, of a 4096 x 4096 weight and so many rows, K cut into as many parts as are best. The model
  only has to put tiles in order; **none of this has been measured on a GPU yet**.
)";

constexpr llvm::StringLiteral kColumns =
    "| tile | of a warp | stages | threads | shared | registers | warps | 16 "
    "rows | 128 | 512 | 4096 "
    "|\n|---|---|---|---|---|---|---|---|---|---|---|\n";

/// What ptxas says of a tile: two cells.
using Taken = std::function<std::optional<std::string>(const GemmConfig &)>;

/// False if `taken` fails.
bool writeTable(llvm::raw_ostream &os, const Taken &taken) {
  os << kHeader;
  for (bool twoOfFour : {false, true}) {
    llvm::ArrayRef<GemmConfig> tiles = nvptx::gemmCandidates(twoOfFour);
    os << formatv("\n## {0} tiles{1}\n\n", tiles.size(),
                  twoOfFour ? " of weights that keep 2 of 4" : "")
       << kColumns;
    for (const GemmConfig &config : tiles) {
      std::optional<std::string> cells = taken(config);
      if (!cells)
        return false;
      os << describe(config) << *cells << predict(config) << "\n";
    }
  }
  return true;
}

/// Every line is as it would be written, but for what ptxas says.
int check(llvm::StringRef path) {
  auto file = llvm::MemoryBuffer::getFile(path);
  if (!file) {
    llvm::errs() << "error: cannot read '" << path
                 << "': " << file.getError().message() << "\n";
    return 1;
  }
  constexpr llvm::StringLiteral kUnknown = " ? | ? |";
  std::string text;
  llvm::raw_string_ostream os(text);
  int64_t tiles = 0;
  writeTable(os, [&](const GemmConfig &) {
    ++tiles;
    return kUnknown.str();
  });
  llvm::SmallVector<llvm::StringRef> expected, found;
  llvm::StringRef(text).split(expected, '\n');
  (*file)->getBuffer().split(found, '\n');
  bool isGood = expected.size() == found.size();
  for (size_t i = 0; isGood && i < found.size(); ++i) {
    auto [before, behind] = expected[i].split(kUnknown);
    isGood = expected[i].contains(kUnknown)
                 ? found[i].starts_with(before) && found[i].ends_with(behind)
                 : found[i] == expected[i];
  }
  if (!isGood)
    llvm::errs() << "error: expected '" << path
                 << "' to describe the tiles that there are, found others; "
                    "'gpu-tiles -o "
                 << path << "' writes it anew\n";
  else
    llvm::outs() << tiles << " tiles are as described\n";
  return isGood ? 0 : 1;
}

/// The cells of a tile that was compiled; nothing, with a message, for one that
/// does not compile, or spills.
std::optional<std::string> compileCells(const GemmConfig &config,
                                        llvm::StringRef ptxas) {
  std::optional<KernelResources> taken = compileTile(config, ptxas);
  if (!taken)
    return std::nullopt;
  if (taken->spillBytes) {
    llvm::errs() << formatv("error: expected tile {0} x {1} x {2} (warps of "
                            "{3} x {4}) not to spill, found {5} bytes\n",
                            config.rows, config.columns, config.depth,
                            config.warpRows, config.warpColumns,
                            taken->spillBytes);
    return std::nullopt;
  }
  return formatv(" {0} | {1} |", taken->registers,
                 residentWarps(config, taken->registers))
      .str();
}

int write(const std::string &path) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas) {
    llvm::errs() << "error: expected ptxas of the CUDA toolkit in PATH, or "
                    "named by COPPICE_PTXAS, found none\n";
    return 1;
  }
  std::string text;
  llvm::raw_string_ostream os(text);
  if (!writeTable(os, [&](const GemmConfig &config) {
        return compileCells(config, *ptxas);
      }))
    return 1;
  if (rt::Status status = rt::writeFile(path, text); !status.ok()) {
    llvm::errs() << "error: cannot write '" << path << "': " << status.message()
                 << "\n";
    return 1;
  }
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("The tiles of products on a GPU, as a table", "gpu-tiles");
  std::string output, checked;
  CLI::Option *writes = app.add_option("-o,--output", output,
                                       "Compile all and write the table here");
  CLI::Option *checks =
      app.add_option("--check", checked, "Compare a table with the tiles");
  writes->excludes(checks);
  app.require_option(1);
  CLI11_PARSE(app, argc, argv);
  return checked.empty() ? write(output) : check(checked);
}
