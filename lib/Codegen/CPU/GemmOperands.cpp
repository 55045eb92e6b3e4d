//===- GemmOperands.cpp - what a kernel of strategy "gemm" computes -------===//

#include "GemmOperands.h"
#include "Strategies.h"
#include "coppice/Codegen/CPU/PatternLayout.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

using namespace mlir;

namespace coppice::cpu {

static Type elementOf(Value value) { return getElementTypeOrSelf(value); }

/// How many values along K lie side by side in packed weights of `element`.
static int64_t packOf(Type element) { return element.isBF16() ? 2 : 1; }

int64_t GemmOperands::n() const {
  return cast<ShapedType>(weights.front().getType()).getDimSize(0);
}

int64_t GemmOperands::k() const {
  return cast<ShapedType>(weights.front().getType()).getDimSize(1);
}

int64_t GemmOperands::pack() const {
  return packOf(elementOf(weights.front()));
}

GemmClass GemmOperands::getClass() const {
  auto bytes = [](Value value) {
    return elementOf(value).getIntOrFloatBitWidth() / 8;
  };
  return {n(),
          k(),
          bytes(input),
          bytes(weights.front()),
          static_cast<int64_t>(weights.size()),
          panels ? panels->size : rowsPerPanel,
          kept,
          of};
}

std::optional<rt::NMLayout> GemmOperands::getNMLayout(int64_t panel) const {
  return packing(panel).getNMLayout(elementOf(weights.front()));
}

exec::PackingAttr GemmOperands::packing(int64_t panel) const {
  return exec::PackingAttr::get(op->getContext(), panel, pack(), kept, of);
}

bool arePanelsPacked(int64_t size) { return size % 16 == 0; }
bool areGroupsPacked(int64_t size, Type element) {
  return size % packOf(element) == 0;
}

std::optional<rt::NMLayout> getPatternLayout(prune::GemmOp gemm) {
  prune::NMAttr pattern = gemm.getPatternAttr();
  if (!pattern)
    return std::nullopt;
  auto weight = cast<ShapedType>(gemm.getWeight().getType());
  Type element = weight.getElementType();
  int64_t panels = gemm.getPanelSize().value_or(0),
          groups = gemm.getGroupSize().value_or(0);
  if (!weight.hasStaticShape() || !arePanelsPacked(panels) ||
      !areGroupsPacked(groups, element))
    return std::nullopt;
  GemmClass shape{};
  shape.n = weight.getDimSize(0);
  shape.granule = panels;
  std::optional<rt::NMLayout> layout =
      rt::NMLayout::make(pattern.getKept(), pattern.getOf(), shape.panel(),
                         packOf(element), exec::getElementBytes(element));
  // A group is whole steps, or the pattern is not made use of.
  if (layout && groups % layout->stepColumns())
    return std::nullopt;
  return layout;
}

double getZerosToFind(prune::GemmOp gemm) {
  if (!gemm.getInputZeros() || gemm.hasSets() || getPatternLayout(gemm))
    return 0;
  return gemm.getInputZeros()->convertToDouble();
}

/// False where no packing serves the sets: narrow panels, odd groups of pairs.
/// What is not computed must be what the destination holds.
static bool readSets(prune::GemmOp gemm, GemmOperands &operands) {
  if (gemm.getRows()) {
    operands.rows = {gemm.getRows(), gemm.getRowCount(), 1};
    operands.gathersRows = *gemm.getRowSides() != prune::RowSides::Scatter;
    operands.scattersRows = *gemm.getRowSides() != prune::RowSides::Gather;
  }
  if (gemm.hasRowsPerPanel()) {
    operands.rowsPerPanel = static_cast<int64_t>(*gemm.getPanelSize());
    if (!arePanelsPacked(operands.rowsPerPanel))
      return false;
  }
  if (gemm.hasRowsPerGroup()) {
    // The epilogue is of all rows.
    operands.rowsPerGroup = static_cast<int64_t>(*gemm.getGroupSize());
    operands.scattersRows = false;
    if (!areGroupsPacked(operands.rowsPerGroup,
                         elementOf(operands.weights.front())))
      return false;
  }
  if (gemm.getPanels()) {
    operands.panels = {gemm.getPanels(), gemm.getPanelCount(),
                       static_cast<int64_t>(*gemm.getPanelSize())};
    if (!arePanelsPacked(operands.panels->size))
      return false;
  }
  if (gemm.getGroups()) {
    operands.groups = {gemm.getGroups(), gemm.getGroupCount(),
                       static_cast<int64_t>(*gemm.getGroupSize())};
    if (!areGroupsPacked(operands.groups->size,
                         elementOf(operands.weights.front())))
      return false;
  }
  auto isDestination = [&](Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getArgNumber() + 1 ==
                           argument.getOwner()->getNumArguments();
  };
  return !gemm.getInto() || isDestination(gemm.getInto());
}

std::optional<GemmOperands> getGemmOperands(func::FuncOp kernel) {
  auto gemm = getOnlyOp<prune::GemmOp>(kernel);
  if (!gemm)
    return std::nullopt;
  auto isFloat = [](Type type) {
    return type.isF32() || type.isF16() || type.isBF16();
  };
  auto areFloats = [&](ValueRange values) {
    return llvm::all_of(values,
                        [&](Value value) { return isFloat(elementOf(value)); });
  };
  if (!areFloats({gemm.getInput(), gemm.getWeight()}) ||
      !areFloats(gemm.getExtras()) || !isFloat(elementOf(gemm.getResult())) ||
      !gemm.getWeight().getType().hasStaticShape())
    return std::nullopt;
  GemmOperands operands;
  operands.op = gemm;
  operands.input = gemm.getInput();
  operands.weights = {gemm.getWeight()};
  operands.extras = gemm.getExtras();
  operands.result = elementOf(gemm.getResult());
  if (gemm.hasEpilogue())
    operands.epilogue = &gemm.getEpilogue().front();
  if (getPatternLayout(gemm)) {
    operands.kept = gemm.getPatternAttr().getKept();
    operands.of = gemm.getPatternAttr().getOf();
  }
  if (!readSets(gemm, operands))
    return std::nullopt;
  operands.inputZeros = getZerosToFind(gemm);
  return operands;
}

} // namespace coppice::cpu
