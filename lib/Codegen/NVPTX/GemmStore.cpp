//===- GemmStore.cpp - sums of a product's tile to memory -----------------===//

#include "GemmStore.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace coppice::nvptx {

SmallVector<ProductPlaces::Column> GemmStore::findColumns(const Place &place) {
  SmallVector<ProductPlaces::Column> columns;
  for (int64_t j = 0; j < tile.pairCount(); ++j)
    for (int64_t i = 0; i < 2; i += width()) {
      Value number = add(place.column, add(tile.columnOf(j), i));
      columns.push_back(places.columnAt(number, place.panel));
    }
  return columns;
}

/// Elements of a row from pair or column number `first` on.
LogicalResult GemmStore::storeSome(ArrayRef<Value> sums, int64_t i, Value row,
                                   int64_t first,
                                   ArrayRef<ProductPlaces::Column> columns) {
  ProductEpilogue epilogue(b, shell, gemm);
  SmallVector<SmallVector<ProductEpilogue::Operands>> operands;
  for (const ProductPlaces::Column &column : columns)
    operands.push_back(epilogue.load(row, column.column, width()));

  Value destination =
      gemm->getParentOfType<func::FuncOp>().getArguments().back();
  for (auto [number, column] : llvm::enumerate(columns)) {
    SmallVector<Value> values;
    for (int64_t each = 0; each < width(); ++each) {
      int64_t place = (first + number) * width() + each;
      Value sum = tile.pairOf(sums, i, place / 2)[place % 2];
      FailureOr<Value> value = epilogue.apply(sum, operands[number][each]);
      if (failed(value))
        return failure();
      values.push_back(*value);
    }
    ifThen(column.isThere, [&] {
      auto type = VectorType::get(width(), values.front().getType());
      store(vector::FromElementsOp::create(b, type, values),
            addressOf(destination, {row, column.column}),
            width() * type.getElementTypeBitWidth() / 8);
    });
  }
  return success();
}

LogicalResult GemmStore::storeRow(ArrayRef<Value> sums, int64_t i, Value row,
                                  ArrayRef<ProductPlaces::Column> columns) {
  // As many operands are on their way at once as there are registers to spare.
  constexpr int64_t kOperands = 16;
  int64_t operands = width() * std::max<int64_t>(gemm.getExtras().size(), 1);
  int64_t atOnce = std::max<int64_t>(kOperands / operands, 1);
  // Without a branch: in the place of columns that are not there, the thread's
  // first one is read, which nobody else writes.
  SmallVector<ProductPlaces::Column> readable(columns);
  for (ProductPlaces::Column &column : readable)
    column.column =
        select(column.isThere, column.column, columns.front().column);
  for (int64_t first = 0, size = columns.size(); first < size; first += atOnce)
    if (failed(storeSome(
            sums, i, row, first,
            ArrayRef(readable).slice(first, std::min(atOnce, size - first)))))
      return failure();
  return success();
}

LogicalResult GemmStore::storeResult(ArrayRef<Value> sums, const Place &place) {
  SmallVector<ProductPlaces::Column> columns = findColumns(place);
  LogicalResult done = success();
  for (int64_t i = 0; i < tile.rowCount(); ++i) {
    ProductPlaces::Row row =
        places.rowAt(add(place.row, tile.rowOf(i)), place.panel);
    // Columns are there up to one of them: without the first, there is none.
    ifThen(both(row.isThere, columns.front().isThere), [&] {
      if (failed(storeRow(sums, i, row.result, columns)))
        done = failure();
    });
  }
  return done;
}

void GemmStore::storePart(ArrayRef<Value> sums, const Place &place,
                          Value part) {
  SmallVector<ProductPlaces::Column> columns = findColumns(place);
  Value rows = extentOf(getRowsOfWork(gemm), 0);
  Value n = extentOf(gemm.getWeight(), 0);
  for (int64_t i = 0; i < tile.rowCount(); ++i) {
    Value number = add(place.row, tile.rowOf(i));
    ifThen(places.rowAt(number, place.panel).isThere, [&] {
      Value row = add(mul(part, rows), number);
      for (auto [j, column] : llvm::enumerate(columns))
        ifThen(column.isThere, [&, j = j, column = column] {
          Value address =
              at(shell.workspace, b.getF32Type(), row, n, column.column);
          ArrayRef<Value> pair = tile.pairOf(sums, i, j * width() / 2);
          if (width() == 1)
            return store(pair[j % 2], address);
          store(vector::FromElementsOp::create(
                    b, VectorType::get(2, b.getF32Type()), pair),
                address, 8);
        });
    });
  }
}

} // namespace coppice::nvptx
