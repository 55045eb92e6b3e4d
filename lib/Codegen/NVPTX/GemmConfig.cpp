//===- GemmConfig.cpp - how a product is blocked on a GPU -----------------===//
//
// The choice is made by a model of what a product cannot do without, in cycles
// of an A100: products of matrices, bytes of shared memory, of the L2 cache and
// of memory. Only comparisons of tiles count, and these are much the same on
// its successors. It has not been measured against one yet.
//
//===----------------------------------------------------------------------===//

#include "coppice/Codegen/NVPTX/GemmConfig.h"
#include "GroupRows.h"
#include "Strategies.h"
#include "WeightLoad.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace coppice::nvptx {

exec::ConfigAttr GemmConfig::toAttr(MLIRContext *context) const {
  return makeConfig(context, twoOfFour ? kGemm2of4 : kGemm,
                    {{"threads", threads()},
                     {"rows", rows},
                     {"columns", columns},
                     {"depth", depth},
                     {"warp_rows", warpRows},
                     {"warp_columns", warpColumns},
                     {"stages", stages},
                     {"splits", splits}});
}

int64_t GemmConfig::residentBlocks() const {
  int64_t sums = warpRows * warpColumns / 32;
  int64_t registers = std::min<int64_t>(255, 80 + sums + sums / 8);
  return std::clamp<int64_t>(
      std::min(Processor::registers / (registers * threads()),
               Processor::sharedBytes /
                   (sharedBytes() + Processor::systemBytes)),
      1, 8);
}

std::string checkGemmConfig(const GemmConfig &config) {
  auto expected = [](StringRef name, StringRef what, int64_t found) {
    return llvm::formatv("expected '{0}' to be {1}, found {2}", name, what,
                         found)
        .str();
  };
  int64_t least = config.twoOfFour ? 8 : 16; // rows of a product
  if (config.warpRows <= 0 || config.warpRows % least)
    return expected("warp_rows",
                    least == 8 ? "a multiple of 8" : "a multiple of 16",
                    config.warpRows);
  if (config.warpColumns <= 0 || config.warpColumns % 16)
    return expected("warp_columns", "a multiple of 16", config.warpColumns);
  if (config.rows <= 0 || config.rows % config.warpRows)
    return expected("rows", "a multiple of 'warp_rows'", config.rows);
  if (config.columns <= 0 || config.columns % config.warpColumns)
    return expected("columns", "a multiple of 'warp_columns'", config.columns);
  if (config.twoOfFour && config.depth != rt::NMLayout::tensorStep)
    return expected("depth", "64", config.depth);
  if (config.depth < 16 || config.depth > 128 ||
      !llvm::isPowerOf2_64(config.depth))
    return expected("depth", "16, 32, 64 or 128", config.depth);
  if (config.stages < 2)
    return expected("stages", "2 or more", config.stages);
  if (config.splits < 1)
    return expected("splits", "1 or more", config.splits);
  if (config.threads() > 1024)
    return expected("threads", "1024 at the most", config.threads());
  // Threads copy whole rows of the tiles, eight at once or more.
  SmallVector<SharedTile> tiles{{config.rows, config.depth}};
  if (config.twoOfFour)
    tiles.append({SparseTile::values(config), SparseTile::positions(config)});
  else
    tiles.push_back({config.columns, config.depth});
  for (const SharedTile &tile : tiles) {
    int64_t rowsAtOnce = config.threads() / tile.chunks();
    if (tile.rows > rowsAtOnce && tile.rows % rowsAtOnce)
      return expected("depth", "such that all threads copy all of a tile",
                      config.depth);
    if (rowsAtOnce % 8)
      return expected("depth", "such that all threads copy eight rows at once",
                      config.depth);
  }
  return "";
}

FailureOr<GemmConfig> getGemmConfig(func::FuncOp kernel) {
  GemmConfig config;
  config.twoOfFour = getStrategy(kernel) == kGemm2of4;
  for (auto [name, value] : {std::pair("rows", &config.rows),
                             {"columns", &config.columns},
                             {"depth", &config.depth},
                             {"warp_rows", &config.warpRows},
                             {"warp_columns", &config.warpColumns},
                             {"stages", &config.stages},
                             {"splits", &config.splits}}) {
    FailureOr<int64_t> found = getParameter(kernel, name);
    if (failed(found))
      return failure();
    *value = *found;
  }
  std::string wrong = checkGemmConfig(config);
  if (!wrong.empty())
    return kernel.emitError(wrong);
  return config;
}

/// With half of the products and little more than half of the bytes, tiles of
/// more columns are as fast to load; a piece of eight rows is enough.
static ArrayRef<GemmConfig> candidatesOfTwoOfFour() {
  static const GemmConfig candidates[] = {
      {8, 64, 64, 8, 16, 6, 1, true},     {8, 128, 64, 8, 32, 5, 1, true},
      {16, 64, 64, 16, 16, 6, 1, true},   {16, 128, 64, 16, 32, 5, 1, true},
      {16, 256, 64, 16, 64, 4, 1, true},  {32, 64, 64, 16, 32, 5, 1, true},
      {32, 128, 64, 32, 32, 5, 1, true},  {32, 256, 64, 32, 64, 4, 1, true},
      {64, 64, 64, 32, 32, 5, 1, true},   {64, 128, 64, 32, 64, 4, 1, true},
      {64, 256, 64, 32, 64, 3, 1, true},  {64, 256, 64, 64, 64, 3, 1, true},
      {128, 64, 64, 64, 32, 4, 1, true},  {128, 128, 64, 64, 64, 3, 1, true},
      {128, 128, 64, 64, 32, 3, 1, true}, {128, 256, 64, 64, 64, 2, 1, true},
      {256, 64, 64, 64, 32, 2, 1, true},  {256, 128, 64, 64, 64, 2, 1, true},
  };
  return candidates;
}

ArrayRef<GemmConfig> gemmCandidates(bool twoOfFour) {
  if (twoOfFour)
    return candidatesOfTwoOfFour();
  // Few rows: the tile is as narrow as they are, and many bytes of weights are
  // under way. Many: a warp's part is as large as its registers allow, for each
  // value that it reads from shared memory serves a row of it. Rows and columns
  // that are no powers of two fill the last wave of a GPU better, now and then.
  static const GemmConfig candidates[] = {
      {16, 32, 64, 16, 16, 6},   {16, 64, 64, 16, 16, 5},
      {16, 64, 128, 16, 16, 4},  {16, 128, 64, 16, 32, 4},
      {16, 256, 32, 16, 64, 5},  {32, 64, 64, 16, 32, 4},
      {32, 64, 128, 16, 32, 3},  {32, 96, 64, 16, 48, 4},
      {32, 128, 64, 32, 32, 4},  {32, 256, 32, 32, 64, 4},
      {64, 32, 64, 16, 32, 4},   {64, 64, 32, 32, 32, 4},
      {64, 64, 64, 32, 32, 4},   {64, 64, 128, 32, 32, 3},
      {64, 128, 32, 32, 64, 4},  {64, 128, 64, 32, 64, 3},
      {64, 256, 32, 64, 64, 4},  {96, 96, 64, 48, 48, 3},
      {96, 128, 64, 48, 64, 3},  {128, 32, 64, 32, 32, 4},
      {128, 64, 32, 64, 32, 4},  {128, 64, 64, 64, 32, 3},
      {128, 96, 64, 64, 48, 3},  {128, 128, 32, 64, 64, 4},
      {128, 128, 32, 32, 64, 4}, {128, 128, 64, 64, 64, 3},
      {128, 256, 32, 64, 64, 4}, {192, 128, 32, 48, 64, 4},
      {256, 64, 32, 64, 32, 4},  {256, 128, 32, 64, 64, 4},
  };
  return candidates;
}

namespace {

// Of an A100.
constexpr double kProcessors = 108;
constexpr double kProductsPerCycle = 1024;    // of a processor
constexpr double kSharedBytesPerCycle = 128;  // of a processor
constexpr double kCachedBytesPerCycle = 40;   // of a processor, from L2
constexpr double kMemoryBytesPerCycle = 1100; // of all
constexpr double kStepCycles = 60;            // barrier, addresses
constexpr double kItemCycles = 2500;          // first copies, epilogue
constexpr double kStageCycles = 4000;         // another launch

double predictCycles(const GemmConfig &config, const GemmShape &shape) {
  double m = double(shape.rows), n = double(shape.n), k = double(shape.k);
  double tiles = double(llvm::divideCeil(shape.rows, config.rows)) *
                 double(llvm::divideCeil(shape.n, shape.panel)) *
                 double(llvm::divideCeil(shape.panel, config.columns)) *
                 double(config.splits);
  double steps = double(llvm::divideCeil(shape.k, shape.group)) *
                 double(llvm::divideCeil(shape.group, config.depth));
  steps = std::ceil(steps / double(config.splits));
  // All processors are as slow as the one with the most tiles.
  double mostTiles = std::ceil(tiles / kProcessors);
  double together = std::min(mostTiles, double(config.residentBlocks()));

  double warps = double(config.threads()) / 32;
  double products =
      double(config.rows * config.columns * config.depth) / kProductsPerCycle;
  if (config.twoOfFour)
    products /= 2;
  double weightBytes = double(config.weightBytes()) / double(config.columns);
  double shared = warps *
                  (double(config.warpRows * config.depth * 2) +
                   double(config.warpColumns) * weightBytes) /
                  kSharedBytesPerCycle;
  auto stepBytes = double(config.stepBytes());
  // Of a step of all blocks of a processor.
  double step = std::max({products, shared, stepBytes / kCachedBytesPerCycle});
  double work =
      mostTiles * steps * step +
      std::ceil(mostTiles / together) * (kItemCycles + steps * kStepCycles);
  double memory = (n * weightBytes / double(config.depth) + m * 2) * k /
                  kMemoryBytesPerCycle;
  // Nothing arrives faster than what is under way does in a memory's latency.
  constexpr double kLatency = 800;
  double active = std::min(tiles, kProcessors * together);
  double flow = double(config.stages - 1) * stepBytes * active / kLatency;
  memory = std::max(memory, tiles * steps * stepBytes / flow);
  double sums = 0;
  if (config.splits > 1)
    sums = kStageCycles + m * n * 4 * 2 * double(config.splits) /
                              (kProcessors * kCachedBytesPerCycle);
  return std::max(work, memory) + sums;
}

/// Of a block, on every chip from sm_80 on: sm_86, sm_89 and sm_120 have least.
constexpr int64_t kSharedBytesOfAll = 99 * 1024;

/// That a thread may hold besides its sums.
constexpr int64_t kElementsInRegisters = 40;

/// The least that an A100 could take: all products, all bytes once.
double boundCycles(const GemmShape &shape) {
  double m = double(shape.rows), n = double(shape.n), k = double(shape.k);
  double products = m * n * k / (shape.twoOfFour ? 2 : 1);
  double weightBytes = n * k * (shape.twoOfFour ? 9. / 8 : 2);
  return std::max(products / (kProductsPerCycle * kProcessors),
                  (weightBytes + m * k * 2) / kMemoryBytesPerCycle);
}

} // namespace

double predictEfficiency(const GemmConfig &config, const GemmShape &shape) {
  return boundCycles(shape) / predictCycles(config, shape);
}

GemmConfig chooseSplits(GemmConfig config, const GemmShape &shape,
                        int64_t partBytes) {
  GemmConfig best = config;
  for (int64_t splits : {1, 2, 4, 8, 16}) {
    // Each part is worth a few steps.
    if (splits > 1 && (splits * shape.rows * shape.n * 4 > partBytes ||
                       shape.k < splits * config.depth * 4))
      break;
    config.splits = splits;
    if (splits == 1 ||
        predictCycles(config, shape) < predictCycles(best, shape))
      best = config;
  }
  return best;
}

GemmConfig chooseGemmConfig(const GemmShape &shape, int64_t partBytes) {
  GemmConfig best;
  double fewest = -1;
  for (GemmConfig config : gemmCandidates(shape.twoOfFour)) {
    // A packed W is aligned, whatever K is.
    int64_t loaded =
        (config.rows + (config.twoOfFour ? 0 : config.columns)) * config.depth;
    if (shape.throughRegisters() &&
        loaded > kElementsInRegisters * config.threads())
      continue;
    if (config.sharedBytes() +
            GroupRows::sharedBytes(shape.flaggedGroups, config.rows) >
        kSharedBytesOfAll)
      continue;
    config = chooseSplits(config, shape, partBytes);
    double cycles = predictCycles(config, shape);
    if (fewest < 0 || cycles < fewest) {
      fewest = cycles;
      best = config;
    }
  }
  return best;
}

} // namespace coppice::nvptx
