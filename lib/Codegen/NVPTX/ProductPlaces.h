//===- ProductPlaces.h - rows, columns of a product by number ---*- C++ -*-===//
//
// In: the sets of rows and panels of a `prune.gemm`, in memory of the device.
// Out: which row, or which column, number p of those to be computed is. So
// tiles are runs of numbers, without holes, whatever the sets are.
//
// Where there is a list of rows for each panel, columns are numbered within
// their panel, and whoever asks says which.
//
// What is not there has a place too, 0: an address that may be made, and even
// read.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_PRODUCTPLACES_H
#define COPPICE_LIB_CODEGEN_NVPTX_PRODUCTPLACES_H

#include "KernelBuilder.h"
#include "Product.h"

namespace coppice::nvptx {

class ProductPlaces : KernelBuilder {
public:
  struct Row {
    Value isThere, input, result;
  };
  struct Column {
    Value isThere, column;
  };

  /// Loads the counts, which do not change while the kernel runs.
  ProductPlaces(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
                prune::GemmOp gemm);

  bool hasPanels() const { return isPerPanel; }
  /// Panels that have a list of rows each.
  int64_t countPanels() const { return llvm::divideCeil(n, panel); }
  /// Numbers of columns of which all are there: 0, not known.
  int64_t wholeColumns() const { return hasList || isPerPanel ? 0 : n; }
  /// Are neighbours in pairs of columns, from an even number on, neighbours in
  /// memory, and there both or not at all?
  static bool hasPairs(prune::GemmOp gemm);

  /// Numbers of rows; of `panel`, if there are lists for panels.
  Value countRows(Value panel = {});
  /// Numbers of columns; of one panel, if there are lists for panels.
  Value countColumns();
  Row rowAt(Value number, Value panel = {});
  Column columnAt(Value number, Value panel = {});

private:
  prune::GemmOp gemm;
  int64_t n, panel = 1;
  bool hasList, isPerPanel; // of panels
  Value rowCount, panelCount;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_PRODUCTPLACES_H
