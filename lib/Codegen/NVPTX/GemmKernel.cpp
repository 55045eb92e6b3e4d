//===- GemmKernel.cpp - matrix products by tensor cores -------------------===//
//
// In: a kernel that is one `prune.gemm` of f16 or of bf16, with any sets and
// any epilogue. Out: a block computes a tile of the result:
//
//   rows of A and of W that are the tile's        // ProductPlaces.h
//   for each step along K:                        // KSteps.h, CopyRing.h
//     their columns to shared memory, ahead       // TileLoad.h, WeightLoad.h
//     sums += A . W                               // MmaTile.h, or
//                                                 // MmaSparseTile.h
//   result = epilogue(sums)                       // GemmStore.h
//
// Tiles are of rows and columns by number in their sets, so sets need no code
// of their own: rows and panels are looked up where a tile begins, groups of K
// where a step does. How many tiles there are is known on the device only; the
// grid is that of everything, and blocks without a tile end at once.
//
// Where each panel has rows of its own, tiles do not cross panels. Where each
// group of K has, all rows are multiplied, with zeros in the place of those
// that are not in a group's list.
//
// Few rows and a long K leave most of a GPU without a tile. Then K is cut, each
// part is a work item, and a second stage adds the parts up in their order
// (MergeKernel.cpp), so that results do not depend on timing.
//
//===----------------------------------------------------------------------===//

#include "CopyRing.h"
#include "GemmStore.h"
#include "GroupRows.h"
#include "KSteps.h"
#include "MmaSparseTile.h"
#include "MmaTile.h"
#include "ProductPlaces.h"
#include "Strategies.h"
#include "TileLoad.h"
#include "TileOrder.h"
#include "WeightLoad.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

/// Of flags of rows in groups; beyond, there are more groups than it is worth.
constexpr int64_t kFlagBytes = 32 * 1024;
constexpr int64_t kMostTileRows = 256;
/// Panels with rows of their own, and groups, that are smaller leave most of a
/// tile empty.
constexpr int64_t kFinest = 16;
/// Variants of rows that are too few for a tile.
constexpr int64_t kFewRows[] = {1, 2, 4};

class GemmEmitter : KernelBuilder {
public:
  GemmEmitter(ImplicitLocOpBuilder &b, KernelShell &shell, prune::GemmOp gemm,
              const GemmConfig &config)
      : KernelBuilder(b, shell), gemm(gemm), config(config),
        places(b, shell, gemm), steps(b, shell, gemm, config.depth),
        loadA(b, shell, tileA(),
              TileLoad::Source::alongK(gemm.getInput(), steps)),
        loadW(b, shell, gemm, config, steps) {
    Type element = getElementTypeOrSelf(gemm.getWeight());
    if (config.twoOfFour)
      mma = std::make_unique<MmaSparseTile>(b, shell, config, element);
    else
      mma = std::make_unique<MmaTile>(b, shell, config, element);
  }

  LogicalResult emit();

private:
  int64_t n() { return gemm.getWeight().getType().getDimSize(0); }
  SharedTile tileA() const { return {config.rows, config.depth}; }
  int64_t tilesOfPanel() {
    int64_t panel = static_cast<int64_t>(*gemm.getPanelSize());
    return llvm::divideCeil(std::min(panel, n()), config.columns);
  }
  Value countTilesAcross();
  GemmStore::Place placeOf(const TileOrder::Tile &tile);
  LogicalResult computeTile(const GemmStore::Place &place, Value part);
  void selectRows(const GemmStore::Place &place);
  SmallVector<Value> sumSteps(Value begin, Value end);

  prune::GemmOp gemm;
  GemmConfig config;
  ProductPlaces places;
  KSteps steps;
  TileLoad loadA;
  WeightLoad loadW;
  std::unique_ptr<TileSums> mma;
  std::optional<GroupRows> groupRows;
  Value ring;
};

Value GemmEmitter::countTilesAcross() {
  if (places.hasPanels())
    return i32(places.countPanels() * tilesOfPanel());
  return ceilDiv(places.countColumns(), config.columns);
}

GemmStore::Place GemmEmitter::placeOf(const TileOrder::Tile &tile) {
  Value row = mul(tile.row, config.rows);
  if (!places.hasPanels())
    return {row, mul(tile.column, config.columns), Value()};
  return {row, mul(rem(tile.column, tilesOfPanel()), config.columns),
          div(tile.column, tilesOfPanel())};
}

void GemmEmitter::selectRows(const GemmStore::Place &place) {
  loadA.selectRows([&](Value ofTile) -> TileLoad::Row {
    auto row = places.rowAt(add(place.row, ofTile), place.panel);
    return {row.isThere, row.input};
  });
  bool isWhole =
      places.wholeColumns() % config.columns == 0 && places.wholeColumns() > 0;
  loadW.selectColumns([&](Value ofTile) -> ProductPlaces::Column {
    Value number = add(place.column, ofTile);
    if (isWhole)
      return {arith::ConstantOp::create(b, b.getBoolAttr(true)), number};
    return places.columnAt(number, place.panel);
  });
}

SmallVector<Value> GemmEmitter::sumSteps(Value begin, Value end) {
  int64_t numA = loadA.nothing().size();
  auto placeOfW = [&](Value place) { return at(place, tileA().bytes()); };
  CopyRing::Work work;
  work.fetch = [&](Value number, Value place) {
    KSteps::Step step = steps.stepAt(number);
    SmallVector<Value> values =
        step.group ? loadA.fetch(step, place,
                                 [&](Value row) {
                                   return groupRows->has(step.group, row);
                                 })
                   : loadA.fetch(step, place);
    llvm::append_range(values, loadW.fetch(step, placeOfW(place)));
    return values;
  };
  work.none = loadA.nothing();
  llvm::append_range(work.none, loadW.nothing());
  work.put = [&](ArrayRef<Value> values, Value place) {
    loadA.put(SmallVector<Value>(values.take_front(numA)), place);
    loadW.put(SmallVector<Value>(values.drop_front(numA)), placeOfW(place));
  };
  work.compute = [&](Value place, ValueRange carried) {
    SmallVector<Value> sums(carried);
    mma->multiply(place, placeOfW(place), sums);
    return sums;
  };
  CopyRing copies(b, shell, ring, config.stepBytes(), config.stages);
  return copies.run(begin, end, mma->zeros(), work);
}

LogicalResult GemmEmitter::computeTile(const GemmStore::Place &place,
                                       Value part) {
  if (groupRows) {
    groupRows->find(place.row);
    barrier();
  }
  selectRows(place);
  GemmStore result(b, shell, gemm, *mma, places);
  Value count = steps.count();
  if (config.splits == 1)
    return result.storeResult(sumSteps(i32(0), count), place);
  Value size = ceilDiv(count, config.splits);
  Value begin = min(mul(part, size), count);
  result.storePart(sumSteps(begin, min(add(begin, size), count)), place, part);
  return success();
}

LogicalResult GemmEmitter::emit() {
  // Copies of less than 16 bytes take more registers, of data or of addresses,
  // and so do columns that are stored one by one.
  bool isSimple = steps.alignment() == SharedTile::kChunkColumns &&
                  ProductPlaces::hasPairs(gemm);
  int64_t blocks = config.residentBlocks();
  shell.setResidentBlocks(isSimple ? blocks : llvm::divideCeil(blocks, 2));
  ring = allocateShared(config.sharedBytes(), SharedTile::kBanks);
  if (gemm.hasRowsPerGroup())
    groupRows.emplace(b, shell, gemm, steps.countGroups(), config.rows,
                      allocateShared(GroupRows::sharedBytes(steps.countGroups(),
                                                            config.rows)));
  Value rows =
      places.hasPanels() ? extentOf(gemm.getInput(), 0) : places.countRows();
  TileOrder order(b, shell, ceilDiv(rows, config.rows), countTilesAcross());
  Value tiles = order.count();
  LogicalResult done = success();
  forEachItem(mul(tiles, config.splits), [&](Value item) {
    Value part = config.splits > 1 ? div(item, tiles) : Value();
    Value number = config.splits > 1 ? rem(item, tiles) : item;
    GemmStore::Place place = placeOf(order.at(number));
    if (!places.hasPanels()) {
      done = computeTile(place, part);
      return;
    }
    ifThen(less(place.row, places.countRows(place.panel)),
           [&] { done = computeTile(place, part); });
  });
  return done;
}

/// What tensor cores multiply.
prune::GemmOp getHalfProduct(func::FuncOp kernel) {
  prune::GemmOp gemm = getProduct(kernel);
  if (!gemm)
    return {};
  Type element = getElementTypeOrSelf(gemm.getWeight());
  bool isHalf = element.isF16() || element.isBF16();
  return isHalf && element == getElementTypeOrSelf(gemm.getInput())
             ? gemm
             : prune::GemmOp();
}

/// Does W keep two of four, and do panels and groups begin with what is packed
/// together? Where they do not, the zeros are multiplied.
bool canSelect(prune::GemmOp gemm) {
  prune::NMAttr pattern = gemm.getPatternAttr();
  if (!pattern)
    return false;
  using Layout = rt::NMLayout;
  auto panel = static_cast<int64_t>(gemm.getPanelSize().value_or(0));
  bool hasGroups = gemm.getGroups() || gemm.hasRowsPerGroup();
  return Layout::make(pattern.getKept(), pattern.getOf(), Layout::tensorPanel,
                      Layout::tensorDepth, 2) &&
         panel % Layout::tensorPanel == 0 &&
         (!hasGroups || getGroupOfK(gemm) % Layout::tensorStep == 0);
}

LogicalResult checkSelects(func::FuncOp kernel, prune::GemmOp gemm,
                           const GemmConfig &config) {
  if (!config.twoOfFour || canSelect(gemm))
    return success();
  return kernel.emitError("expected a weight with a pattern of 2 of 4 for "
                          "strategy \"gemm_2of4\", panels of a multiple of 16 "
                          "and groups of a multiple of 64");
}

GemmShape shapeOf(prune::GemmOp gemm) {
  int64_t n = gemm.getWeight().getType().getDimSize(0);
  int64_t k = gemm.getWeight().getType().getDimSize(1);
  GemmShape shape{0, n, k, n, std::min(getGroupOfK(gemm), k)};
  if (gemm.hasRowsPerPanel())
    shape.panel = std::min(static_cast<int64_t>(*gemm.getPanelSize()), n);
  if (gemm.hasRowsPerGroup())
    shape.flaggedGroups = llvm::divideCeil(k, shape.group);
  shape.twoOfFour = canSelect(gemm);
  return shape;
}

exec::PackingAttr packingOfTwoOfFour(MLIRContext *context) {
  using Layout = rt::NMLayout;
  return exec::PackingAttr::get(context, Layout::tensorPanel,
                                Layout::tensorDepth, /*kept=*/2, /*of=*/4);
}

class GemmPlanner {
public:
  GemmPlanner(func::FuncOp kernel, prune::GemmOp gemm, AffineExpr extent)
      : kernel(kernel), gemm(gemm), extent(extent) {
    plan.packings.assign(kernel.getNumArguments(), {});
    plan.countsItems = true;
  }

  /// W is read as `config` says, in all variants.
  void packWeight(const GemmConfig &config) {
    if (config.twoOfFour)
      plan.packings[cast<BlockArgument>(gemm.getWeight()).getArgNumber()] =
          packingOfTwoOfFour(kernel.getContext());
  }

  /// A variant for at most `most` rows; 0: for all.
  void add(const GemmConfig &config, int64_t most) {
    MLIRContext *context = kernel.getContext();
    std::string suffix = most ? "m" + std::to_string(most) : "";
    KernelVariant variant;
    if (most)
      variant.guard = makeGrid(most + 1 - extent);
    variant.stages.push_back(
        {config.toAttr(context), makeGrid(countItems(config)), suffix});
    if (config.splits > 1) {
      KernelStage merge = planMerge(kernel, gemm, extent, config.splits);
      merge.suffix = suffix + "_merge";
      variant.stages.push_back(merge);
      AffineExpr rows = most ? getAffineConstantExpr(most, context) : extent;
      variant.workspace = makeGrid(rows * (config.splits * n() * 4));
    }
    plan.variants.push_back(std::move(variant));
  }

  KernelPlan plan;

private:
  int64_t n() { return gemm.getWeight().getType().getDimSize(0); }
  AffineExpr countItems(const GemmConfig &config) {
    int64_t across = llvm::divideCeil(n(), config.columns);
    int64_t panel = static_cast<int64_t>(gemm.getPanelSize().value_or(0));
    if (gemm.hasRowsPerPanel())
      across = llvm::divideCeil(n(), panel) *
               llvm::divideCeil(std::min(panel, n()), config.columns);
    else if (panel) // the last panel of a list counts as a whole one
      across = llvm::divideCeil(llvm::alignTo(n(), panel), config.columns);
    return extent.ceilDiv(config.rows) * (across * config.splits);
  }

  func::FuncOp kernel;
  prune::GemmOp gemm;
  AffineExpr extent;
};

} // namespace

PlanOrNone planGemm(func::FuncOp kernel, const PlanOptions &options) {
  prune::GemmOp gemm = getHalfProduct(kernel);
  if (!gemm)
    return std::nullopt;
  FailureOr<AffineExpr> extent = getProductRows(kernel, gemm);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());
  GemmShape shape = shapeOf(gemm);
  if (shape.panel < std::min(kFinest, shape.n) ||
      shape.group < std::min(kFinest, shape.k) ||
      (gemm.hasRowsPerGroup() &&
       GroupRows::sharedBytes(llvm::divideCeil(shape.k, shape.group),
                              kMostTileRows) > kFlagBytes))
    return std::nullopt;

  GemmPlanner planner(kernel, gemm, *extent);
  if (options.gemm) {
    if (failed(checkSelects(kernel, gemm, *options.gemm)))
      return FailureOr<KernelPlan>(failure());
    planner.packWeight(*options.gemm);
    planner.add(*options.gemm, 0);
    return FailureOr<KernelPlan>(planner.plan);
  }
  // Dots are of whole rows of W.
  if (!shape.twoOfFour)
    for (int64_t rows : kFewRows)
      planner.plan.variants.push_back(planDotsOf(kernel, gemm, *extent, rows));
  // Buckets that want the same are one variant.
  std::optional<GemmConfig> last;
  int64_t most = 0;
  auto toAttr = [&](const GemmConfig &config) {
    return config.toAttr(kernel.getContext());
  };
  for (int64_t bucket : kRowBuckets) {
    shape.rows = bucket;
    GemmConfig config = chooseGemmConfig(shape, getMostPartBytes(bucket));
    if (last && toAttr(*last) != toAttr(config))
      planner.add(*last, most);
    last = config;
    most = bucket;
  }
  planner.add(*last, 0);
  planner.packWeight(*last);
  return FailureOr<KernelPlan>(planner.plan);
}

LogicalResult emitGemm(func::FuncOp kernel) {
  prune::GemmOp gemm = getHalfProduct(kernel);
  if (!gemm)
    return kernel.emitError("expected one 'prune.gemm' of f16 or of bf16, into "
                            "the destination, in a kernel of strategy \"")
           << getStrategy(kernel) << "\"";
  FailureOr<GemmConfig> config = getGemmConfig(kernel);
  if (failed(config) || failed(checkSelects(kernel, gemm, *config)))
    return failure();
  exec::PackingAttr packing = getArgumentPacking(
      kernel, cast<BlockArgument>(gemm.getWeight()).getArgNumber());
  if (packing !=
      (config->twoOfFour ? packingOfTwoOfFour(kernel.getContext()) : nullptr))
    return kernel.emitError() << "expected '" << exec::packingAttrName
                              << "' of the weight to be that of strategy \""
                              << getStrategy(kernel) << "\"";
  if (config->splits > 1 && !kernel->hasAttr(exec::workspaceAttrName))
    return kernel.emitError() << "expected '" << exec::workspaceAttrName
                              << "' on a kernel whose sums are in parts of K";
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell) ||
      failed(GemmEmitter(builder, *shell, gemm, *config).emit()))
    return failure();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
