//===- GemmOperands.cpp - what a kernel of strategy "gemm" computes -------===//

#include "GemmOperands.h"
#include "Strategies.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

using namespace mlir;

namespace coppice::cpu {

static Type elementOf(Value value) { return getElementTypeOrSelf(value); }

int64_t GemmOperands::n() const {
  return cast<ShapedType>(weights.front().getType()).getDimSize(0);
}

int64_t GemmOperands::k() const {
  return cast<ShapedType>(weights.front().getType()).getDimSize(1);
}

int64_t GemmOperands::pack() const {
  return elementOf(weights.front()).isBF16() ? 2 : 1;
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
          panels ? panels->size : 0,
          kept,
          of};
}

std::optional<rt::NMLayout> GemmOperands::getNMLayout(int64_t panel) const {
  return packing(panel).getNMLayout(elementOf(weights.front()));
}

exec::PackingAttr GemmOperands::packing(int64_t panel) const {
  return exec::PackingAttr::get(op->getContext(), panel, pack(), kept, of);
}

static void readPattern(prune::GemmOp gemm, GemmOperands &operands) {
  prune::NMAttr pattern = gemm.getPatternAttr();
  if (pattern && rt::NMLayout::make(
                     pattern.getKept(), pattern.getOf(),
                     operands.getClass().panel(), operands.pack(),
                     elementOf(gemm.getWeight()).getIntOrFloatBitWidth() / 8)) {
    operands.kept = pattern.getKept();
    operands.of = pattern.getOf();
  }
}

/// False where no packing serves the sets: narrow panels, odd groups of pairs.
/// What is not computed must be what the destination holds.
static bool readSets(prune::GemmOp gemm, GemmOperands &operands) {
  if (gemm.getRows()) {
    operands.rows = {gemm.getRows(), gemm.getRowCount(), 1};
    operands.gathersRows = *gemm.getRowSides() != prune::RowSides::Scatter;
    operands.scattersRows = *gemm.getRowSides() != prune::RowSides::Gather;
  }
  if (gemm.getPanels()) {
    operands.panels = {gemm.getPanels(), gemm.getPanelCount(),
                       static_cast<int64_t>(*gemm.getPanelSize())};
    if (operands.panels->size % 16)
      return false;
  }
  if (gemm.getGroups()) {
    operands.groups = {gemm.getGroups(), gemm.getGroupCount(),
                       static_cast<int64_t>(*gemm.getGroupSize())};
    if (operands.groups->size % operands.pack())
      return false;
    // A group is whole steps, or the pattern is not made use of.
    if (auto layout = operands.getNMLayout(operands.getClass().panel());
        layout && operands.groups->size % layout->stepColumns())
      operands.kept = operands.of = 0;
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
  readPattern(gemm, operands);
  if (!readSets(gemm, operands))
    return std::nullopt;
  return operands;
}

} // namespace coppice::cpu
