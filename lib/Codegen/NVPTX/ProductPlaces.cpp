//===- ProductPlaces.cpp - rows and columns of a product by number --------===//

#include "ProductPlaces.h"

using namespace mlir;

namespace coppice::nvptx {

ProductPlaces::ProductPlaces(ImplicitLocOpBuilder &b, KernelShell &shell,
                             prune::GemmOp gemm)
    : KernelBuilder(b, shell), gemm(gemm),
      n(gemm.getWeight().getType().getDimSize(0)),
      hasList(gemm.getPanels() != nullptr), isPerPanel(gemm.hasRowsPerPanel()) {
  if (hasList || isPerPanel)
    panel = static_cast<int64_t>(*gemm.getPanelSize());
  if (getRowsOfWork(gemm) == gemm.getRows())
    rowCount = load(b.getI32Type(), argumentOf(gemm.getRowCount()));
  else if (!isPerPanel)
    rowCount = extentOf(gemm.getInput(), 0);
  if (hasList)
    panelCount = load(b.getI32Type(), argumentOf(gemm.getPanelCount()));
}

bool ProductPlaces::hasPairs(prune::GemmOp gemm) {
  bool hasPanels = gemm.getPanels() || gemm.hasRowsPerPanel();
  return gemm.getWeight().getType().getDimSize(0) % 2 == 0 &&
         (!hasPanels || *gemm.getPanelSize() % 2 == 0);
}

Value ProductPlaces::countRows(Value panelNumber) {
  return isPerPanel ? loadElement(gemm.getRowCount(), panelNumber) : rowCount;
}

Value ProductPlaces::countColumns() {
  if (hasList)
    return mul(panelCount, panel);
  return i32(isPerPanel ? std::min(panel, n) : n);
}

ProductPlaces::Row ProductPlaces::rowAt(Value number, Value panelNumber) {
  Value isThere = less(number, countRows(panelNumber));
  Value place = select(isThere, number, i32(0));
  if (!gemm.getRows() || gemm.hasRowsPerGroup())
    return {isThere, place, place};
  Value entry = isPerPanel ? addressOf(gemm.getRows(), {panelNumber, place})
                           : addressOf(gemm.getRows(), place);
  Value row = select(isThere, load(b.getI32Type(), entry), i32(0));
  prune::RowSides sides = *gemm.getRowSides();
  return {isThere, sides == prune::RowSides::Scatter ? place : row,
          sides == prune::RowSides::Gather ? place : row};
}

ProductPlaces::Column ProductPlaces::columnAt(Value number, Value panelNumber) {
  Value isThere, column = number;
  if (hasList) {
    Value position = div(number, panel);
    isThere = less(position, panelCount);
    position = select(isThere, position, i32(0));
    column = add(mul(loadElement(gemm.getPanels(), position), panel),
                 rem(number, panel));
    isThere = both(isThere, less(column, i32(n)));
  } else if (isPerPanel) {
    column = add(mul(panelNumber, panel), number);
    isThere = both(less(number, i32(panel)), less(column, i32(n)));
  } else {
    isThere = less(number, i32(n));
  }
  return {isThere, select(isThere, column, i32(0))};
}

} // namespace coppice::nvptx
