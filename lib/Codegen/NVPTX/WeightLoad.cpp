//===- WeightLoad.cpp - columns of W to shared memory ---------------------===//

#include "WeightLoad.h"

using namespace mlir;

namespace coppice::nvptx {

namespace {

using Layout = rt::NMLayout;
constexpr int64_t kPanel = Layout::tensorPanel, kStep = Layout::tensorStep,
                  kDepth = Layout::tensorDepth;
/// Elements of a panel's step: of the values, and of the positions behind them.
constexpr int64_t kValues = kPanel * kDepth, kPositions = kPanel * kStep / 16;
constexpr int64_t kStepElements = kValues + kPositions;
static_assert(kStepElements % kDepth == 0 && kStepElements % kPositions == 0 &&
              kValues % kPositions == 0);

/// Packed elements of all steps before column `k`, a multiple of a step.
constexpr int64_t kElementsOfColumn = kStepElements / kStep;
static_assert(kStepElements % kStep == 0);

TileLoad::Source getSource(prune::GemmOp gemm, const GemmConfig &config,
                           const KSteps &steps) {
  if (config.twoOfFour) // padded to whole steps, each chunk of 16 bytes
    return {gemm.getWeight(), kDepth, SharedTile::kChunkColumns,
            steps.areWhole()};
  return TileLoad::Source::alongK(gemm.getWeight(), steps);
}

SharedTile getTile(const GemmConfig &config) {
  return config.twoOfFour ? SparseTile::values(config)
                          : SharedTile{config.columns, config.depth};
}

} // namespace

WeightLoad::WeightLoad(ImplicitLocOpBuilder &b, KernelShell &shell,
                       prune::GemmOp gemm, const GemmConfig &config,
                       const KSteps &steps)
    : KernelBuilder(b, shell), config(config),
      stepsOfK(
          llvm::divideCeil(gemm.getWeight().getType().getDimSize(1), kStep)),
      rows(b, shell, getTile(config), getSource(gemm, config, steps)) {
  if (config.twoOfFour)
    positions.emplace(b, shell, SparseTile::positions(config),
                      TileLoad::Source{gemm.getWeight(), kPositions,
                                       SharedTile::kChunkColumns,
                                       /*isWhole=*/true});
}

void WeightLoad::selectColumns(
    llvm::function_ref<ProductPlaces::Column(Value ofTile)> columnAt) {
  if (config.twoOfFour)
    return selectPacked(columnAt);
  rows.selectRows([&](Value ofTile) -> TileLoad::Row {
    auto column = columnAt(ofTile);
    return {column.isThere, column.column};
  });
}

// Tiles, and panels of sets, begin with a packed panel.
void WeightLoad::selectPacked(
    llvm::function_ref<ProductPlaces::Column(Value ofTile)> columnAt) {
  auto panelOf = [&](Value column, int64_t pitch) {
    return mul(div(column, kPanel), stepsOfK * kStepElements / pitch);
  };
  rows.selectRows([&](Value ofTile) -> TileLoad::Row {
    Value place = rem(ofTile, kPanel), first = sub(ofTile, place);
    Value inPanel = add(mul(rem(place, 8), 2), div(place, 8));
    auto column = columnAt(add(first, inPanel));
    return {column.isThere, add(panelOf(column.column, kDepth), place)};
  });
  // Of columns that are not there, any positions will do that ascend.
  Value always = arith::ConstantOp::create(b, b.getBoolAttr(true));
  positions->selectRows([&](Value ofTile) -> TileLoad::Row {
    auto column = columnAt(mul(ofTile, kPanel));
    return {always,
            add(panelOf(column.column, kPositions), kValues / kPositions)};
  });
}

TileLoad::InFlight WeightLoad::fetch(const KSteps::Step &step,
                                     Value tileAddress) {
  if (!config.twoOfFour)
    return rows.fetch(step, tileAddress);
  Value from = mul(step.from, kElementsOfColumn);
  Value end = mul(ceilDiv(step.end, kStep), kStepElements);
  rows.fetch({from, end, Value()}, tileAddress);
  // Behind the last step of a short group, too.
  positions->fetch(
      {select(less(step.from, step.end), from, i32(0)), end, Value()},
      at(tileAddress, SparseTile::values(config).bytes()));
  return {};
}

void WeightLoad::put(const TileLoad::InFlight &values, Value tileAddress) {
  rows.put(values, tileAddress);
}

TileLoad::InFlight WeightLoad::nothing() { return rows.nothing(); }

} // namespace coppice::nvptx
