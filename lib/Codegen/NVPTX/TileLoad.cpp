//===- TileLoad.cpp - rows of a matrix to shared memory -------------------===//

#include "TileLoad.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace coppice::nvptx {

constexpr int64_t kColumns = SharedTile::kChunkColumns;

TileLoad::Source TileLoad::Source::alongK(Value matrix, const KSteps &steps) {
  int64_t k = cast<RankedTensorType>(matrix.getType()).getDimSize(1);
  return {matrix, k, steps.alignment(), steps.areWhole()};
}

TileLoad::TileLoad(ImplicitLocOpBuilder &b, KernelShell &shell,
                   const SharedTile &tile, const Source &source)
    : KernelBuilder(b, shell), tile(tile), matrix(argumentOf(source.matrix)),
      element(getElementTypeOrSelf(source.matrix)), pitch(source.pitch),
      copyColumns(source.alignment), isWhole(source.isWhole) {
  copyRow = div(thread(), tile.chunks());
  chunk = rem(thread(), tile.chunks());
}

void TileLoad::selectRows(llvm::function_ref<Row(Value)> rowAt) {
  rows.clear();
  // The order of chunks repeats every eight rows, so it is the same in all of
  // a thread's.
  Value swizzle =
      rem(div(copyRow, tile.swizzleDivisor()), tile.swizzleModulus());
  Value to = add(mul(copyRow, tile.rowBytes()),
                 mul(exclusive(chunk, swizzle), SharedTile::kChunk));
  for (int64_t first = 0; first < tile.rows; first += rowsAtOnce()) {
    Value ofTile = add(copyRow, first);
    if (tile.rows < rowsAtOnce()) // a thread without a row has the last one
      ofTile = min(ofTile, i32(tile.rows - 1));
    Row row = rowAt(ofTile);
    rows.push_back(
        {ofTile, row.isThere,
         KernelBuilder::at(matrix, element, row.row, i32(pitch), i32(0)),
         add(to, first * tile.rowBytes())});
  }
}

void TileLoad::ifTakesPart(llvm::function_ref<void()> body) {
  if (tile.rows >= rowsAtOnce())
    return body();
  ifThen(less(copyRow, i32(tile.rows)), body);
}

TileLoad::InFlight TileLoad::fetch(const KSteps::Step &step, Value tileAddress,
                                   llvm::function_ref<Value(Value)> isWanted) {
  InFlight values;
  auto each = [&] {
    for (const Selected &row : rows) {
      Value isThere = row.isThere;
      if (isWanted)
        isThere = both(isThere, isWanted(row.ofTile));
      if (!usesRegisters())
        startCopies(row, isThere, step, tileAddress);
      else
        values.push_back(loadChunk(row, isThere, step));
    }
  };
  if (!usesRegisters())
    ifTakesPart(each);
  else
    each();
  return values;
}

/// Copies this thread's chunk of a row, in as many pieces as it takes.
void TileLoad::startCopies(const Selected &row, Value isThere,
                           const KSteps::Step &step, Value tileAddress) {
  using Cache = NVVM::LoadCacheModifierKind;
  int64_t bytes = copyColumns * 2;
  // Past L1 where that is possible: no thread of the block reads it again.
  Cache cache = bytes == 16 ? Cache::CG : Cache::CA;
  for (int64_t piece = 0; piece < kColumns; piece += copyColumns) {
    Value column = add(step.from, add(mul(chunk, kColumns), piece));
    // Ends are multiples of a piece: it is there, or it is not.
    Value isInside = isWhole ? isThere : both(isThere, less(column, step.end));
    NVVM::CpAsyncOp::create(
        b, at(at(tileAddress, row.to), piece * 2),
        at(row.address, mul(column, 2)), b.getI32IntegerAttr(bytes),
        NVVM::LoadCacheModifierKindAttr::get(b.getContext(), cache),
        select(isInside, i32(bytes), i32(0)));
  }
}

/// A chunk of elements that are not aligned.
Value TileLoad::loadChunk(const Selected &row, Value isThere,
                          const KSteps::Step &step) {
  SmallVector<Value> elements;
  for (int64_t i = 0; i < kColumns; ++i) {
    Value column = add(step.from, add(mul(chunk, kColumns), i));
    Value isInside = both(isThere, less(column, step.end));
    // The first element of the row is there if anything is: no branch.
    Value address = at(row.address, mul(select(isInside, column, i32(0)), 2));
    elements.push_back(select(isInside, load(element, address), zero(element)));
  }
  return vector::FromElementsOp::create(b, VectorType::get(kColumns, element),
                                        elements);
}

TileLoad::InFlight TileLoad::nothing() {
  if (!usesRegisters())
    return {};
  return InFlight(rows.size(), zero(VectorType::get(kColumns, element)));
}

void TileLoad::put(const InFlight &values, Value tileAddress) {
  if (values.empty())
    return;
  ifTakesPart([&] {
    for (auto [row, value] : llvm::zip_equal(rows, values))
      store(value, at(tileAddress, row.to), SharedTile::kChunk);
  });
}

} // namespace coppice::nvptx
