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

using namespace coppice;
using namespace coppice::bench;
using llvm::formatv;
using nvptx::GemmConfig;

namespace {

constexpr int64_t kRowCounts[] = {16, 128, 512, 4096};
constexpr int64_t kWidth = 4096; // N and K

/// Warps of 64 that an A100's processor holds at once.
int64_t residentWarps(const GemmConfig &config, int64_t registers) {
  constexpr int64_t kRegisters = 65536, kSharedBytes = 164 * 1024, kWarps = 64,
                    kBlocks = 32, kUnit = 8;
  int64_t ofThread = (registers + kUnit - 1) / kUnit * kUnit;
  int64_t warps = config.threads() / 32;
  return warps * std::min({kRegisters / (ofThread * config.threads()),
                           kSharedBytes / (config.sharedBytes() + 1024),
                           kWarps / warps, kBlocks});
}

double efficiencyOf(const GemmConfig &config, int64_t rows) {
  nvptx::GemmShape shape{rows, kWidth, kWidth, kWidth, kWidth};
  shape.twoOfFour = config.twoOfFour;
  return predictEfficiency(
      nvptx::chooseSplits(config, shape,
                          rows > 512 ? 0 : nvptx::kMostPartBytes),
      shape);
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

class Table {
public:
  explicit Table(std::string ptxas) : ptxas(std::move(ptxas)) {}

  /// False, with a message, if a tile does not compile or spills.
  bool write(llvm::raw_ostream &os) {
    os << kHeader;
    for (bool twoOfFour : {false, true}) {
      llvm::ArrayRef<GemmConfig> tiles = nvptx::gemmCandidates(twoOfFour);
      os << formatv("\n## {0} tiles{1}\n\n", tiles.size(),
                    twoOfFour ? " of weights that keep 2 of 4" : "")
         << kColumns;
      for (const GemmConfig &config : tiles)
        if (!writeRow(os, config))
          return false;
    }
    return true;
  }

private:
  bool writeRow(llvm::raw_ostream &os, const GemmConfig &config) {
    std::optional<KernelResources> taken = compileTile(config, ptxas);
    if (!taken || taken->spillBytes) {
      llvm::errs() << "error: tile " << describe(config) << " does not compile"
                   << (taken ? " without spills\n" : "\n");
      return false;
    }
    os << describe(config)
       << formatv(" {0} | {1} |", taken->registers,
                  residentWarps(config, taken->registers))
       << predict(config) << "\n";
    return true;
  }

  std::string ptxas;
};

/// Every tile has its row, with what is known without ptxas, and there are no
/// others.
int check(llvm::StringRef path) {
  auto file = llvm::MemoryBuffer::getFile(path);
  if (!file) {
    llvm::errs() << "error: cannot read '" << path
                 << "': " << file.getError().message() << "\n";
    return 1;
  }
  llvm::SmallVector<llvm::StringRef> lines, rows;
  (*file)->getBuffer().split(lines, '\n');
  for (llvm::StringRef line : lines)
    if (line.starts_with("| ") && !line.starts_with("| tile"))
      rows.push_back(line);
  std::vector<GemmConfig> tiles = nvptx::gemmCandidates().vec();
  llvm::append_range(tiles, nvptx::gemmCandidates(/*twoOfFour=*/true));
  bool isGood = rows.size() == tiles.size();
  for (size_t i = 0; isGood && i < tiles.size(); ++i)
    isGood = rows[i].starts_with(describe(tiles[i])) &&
             rows[i].ends_with(predict(tiles[i]));
  if (!isGood)
    llvm::errs() << "error: expected '" << path
                 << "' to describe the tiles that there are, found others; "
                    "'gpu-tiles -o "
                 << path << "' writes it anew\n";
  else
    llvm::outs() << tiles.size() << " tiles are as described\n";
  return isGood ? 0 : 1;
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
  if (!Table(*ptxas).write(os))
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
