//===- GemmTiles.cpp - matrix products in tile registers ------------------===//
//
// In: an item of work and a block of K. Out: the same sums in the scratch as
// emitBlock() leaves with vector registers, by AMX:
//
//   for each 32 rows of the item:
//     A's part is copied to where its rows lie side by side, an odd number of
//       lines apart, filled up by zeros to whole tiles along K
//     for each panel, each 32 columns of it:
//       2 x 2 tiles of sums = scratch (zero in the first block)
//       sums += A . W, 32 values along K a step
//       scratch = sums
//
// Packed pairs are what a tile of W is, so W is read in place. Rows behind the
// last one are computed of whatever was copied before: nobody reads their sums.
// What is left of K behind whole steps is copied with zeros behind it, so that
// nothing behind a panel is read.
//
// Copying A is paid by several panels: items that follow one another share
// their rows, so a call does some of them as one.
//
//===----------------------------------------------------------------------===//

#include "GemmEmitter.h"

using namespace mlir;

namespace coppice::cpu {

void GemmEmitter::emitTiles(const Item &item, const Block &block) {
  loop(index(0), item.count, tallest, [&](Value row) {
    Value height = min(sub(item.count, row), index(tallest));
    copyInput(height, item, block, row);
    Value isTall = arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, height,
                                         index(TileRegisters::rows));
    auto choice = scf::IfOp::create(b, isTall, /*withElseRegion=*/true);
    auto emitCase = [&](mlir::Block *body, int64_t rowTiles) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(body);
      loop(index(0), item.panelCount, 1, [&](Value local) {
        emitTilesOfPanel(rowTiles, item, block, row, local);
      });
    };
    emitCase(choice.thenBlock(), 2);
    emitCase(choice.elseBlock(), 1);
    if (isOneBlock())
      emitEpilogue(item, row, height);
  });
}

/// `rowTiles` tiles of rows from `row` of the item on, by a panel.
void GemmEmitter::emitTilesOfPanel(int64_t rowTiles, const Item &item,
                                   const Block &block, Value row, Value local) {
  for (size_t number = 0; number < weights.size(); ++number) {
    GemmProduct::Operands operands;
    setWeights(operands, item, block, local, number);
    Value scratchColumn =
        add(mul(local, weights.size() * config.panel), number * config.panel);
    loop(index(0), index(config.panel), columnsOfTiles(), [&](Value column) {
      operands.column = column;
      operands.lines = config.ahead ? 2 : 0;
      if (operands.lines && !gemm.groups)
        setAhead(operands,
                 {row, item.count, rowTiles * TileRegisters::rows, column},
                 distanceToNext(item, block, local),
                 bytesAlongK(sub(block.to, block.from)));
      else
        operands.lines = 0;
      emitTileGroup(rowTiles, item, block, operands, row,
                    add(scratchColumn, column));
    });
  }
}

/// The sums of a few tiles over a block of K.
void GemmEmitter::emitTileGroup(int64_t rowTiles, const Item &item,
                                const Block &block,
                                const GemmProduct::Operands &operands,
                                Value row, Value scratchColumn) {
  int64_t columnTiles = columnsOfTiles() / TileRegisters::columns;
  // Rows of a list are added to the item's afterwards.
  bool isSpread = block.first != nullptr;
  Value memory = isSpread ? partial : scratch;
  int64_t pitch = isSpread ? columnsOfTiles() : scratchColumns();
  Value firstRow = isSpread || isOneBlock() ? index(0) : row;
  auto elementOf = [&](int64_t r, int64_t c) {
    Value element = mul(add(firstRow, r * TileRegisters::rows), pitch);
    if (!isSpread)
      element = add(element, scratchColumn);
    return add(element, c * TileRegisters::columns);
  };
  int64_t stride = pitch * 4;
  SmallVector<Value> sums;
  for (int64_t r = 0; r < rowTiles; ++r)
    for (int64_t c = 0; c < columnTiles; ++c)
      sums.push_back(isSpread || isOneBlock()
                         ? tiles.zero()
                         : tiles.load(memory, elementOf(r, c), stride));
  if (!gemm.groups) {
    multiplyTiles(sums, rowTiles, operands, index(0), operands.first,
                  sub(block.to, block.from));
  } else {
    int64_t size = gemm.groups->size;
    sums = llvm::to_vector(loop(
        block.from, block.to, 1, sums, [&](Value position, ValueRange carried) {
          SmallVector<Value> next(carried);
          Value from = mul(groups->at(position), size);
          Value inBlock = mul(sub(position, block.from), size);
          Value first =
              add(operands.first, path.expands ? mul(inBlock, config.panel)
                                               : elementsAlongK(from));
          multiplyTiles(next, rowTiles, operands, inBlock, first,
                        min(index(size), sub(index(gemm.k()), from)));
          return next;
        }));
  }
  for (int64_t r = 0; r < rowTiles; ++r)
    for (int64_t c = 0; c < columnTiles; ++c)
      tiles.store(sums[r * columnTiles + c], memory, elementOf(r, c), stride);
  if (isSpread)
    addScattered(item, block, row, index(0), scratchColumn, rowTiles,
                 columnsOfTiles());
}

/// `count` values along K, from `inputColumn` of the copied rows and element
/// `first` of the weights on.
void GemmEmitter::multiplyTiles(SmallVector<Value> &sums, int64_t rowTiles,
                                const GemmProduct::Operands &operands,
                                Value inputColumn, Value first, Value count) {
  int64_t columnTiles = columnsOfTiles() / TileRegisters::columns;
  constexpr int64_t depth = TileRegisters::depth;
  int64_t inputStride = copyPitch() * 2, weightStride = config.panel * 4;
  auto stepOf = [&](ValueRange carried, Value memory, Value at, Value column) {
    SmallVector<Value> next(carried), left;
    for (int64_t r = 0; r < rowTiles; ++r)
      left.push_back(tiles.load(
          copied, add(index(r * TileRegisters::rows * copyPitch()), column),
          inputStride));
    for (int64_t c = 0; c < columnTiles; ++c) {
      Value right = tiles.load(
          memory,
          add(at, mul(add(operands.column, c * TileRegisters::columns), 2)),
          weightStride);
      for (int64_t r = 0; r < rowTiles; ++r) {
        Value &sum = next[r * columnTiles + c];
        sum = tiles.multiply(sum, left[r], right);
      }
    }
    return next;
  };
  Value steps = div(count, depth);
  sums = llvm::to_vector(
      loop(index(0), steps, 1, sums, [&](Value at, ValueRange carried) {
        if (operands.lines)
          product->fetchStep(operands, mul(at, depth / 2));
        return stepOf(carried, operands.weights,
                      add(first, mul(at, depth * config.panel)),
                      add(inputColumn, mul(at, depth)));
      }));
  bool isWhole =
      gemm.k() % depth == 0 && (!gemm.groups || gemm.groups->size % depth == 0);
  if (isWhole)
    return;
  // The rest, with zeros behind it.
  Value done = mul(steps, depth), rest = sub(count, done);
  auto branch = scf::IfOp::create(
      b, TypeRange(ValueRange(sums)),
      arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, rest, index(0)),
      /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, sums);
  b.setInsertionPointToStart(branch.thenBlock());
  Value from = add(first, mul(done, config.panel));
  auto type = VectorType::get(32, b.getI16Type());
  int64_t width = 2 * config.panel; // of a row of pairs
  Value pairs = div(add(rest, 1), 2);
  loop(index(0), index(depth / 2), 1, [&](Value pair) {
    Value isThere =
        arith::CmpIOp::create(b, arith::CmpIPredicate::slt, pair, pairs);
    auto copy = scf::IfOp::create(b, isThere, /*withElseRegion=*/true);
    auto fill = [&](mlir::Block *body, bool isCopy) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(body);
      for (int64_t column = 0; column < width; column += 32) {
        Value at = add(mul(pair, width), column);
        Value value = isCopy ? vector::LoadOp::create(b, type, operands.weights,
                                                      add(from, at))
                                   .getResult()
                             : zeros(type);
        vector::StoreOp::create(b, value, lastWeights, at);
      }
    };
    fill(copy.thenBlock(), true);
    fill(copy.elseBlock(), false);
  });
  scf::YieldOp::create(
      b, stepOf(sums, lastWeights, index(0), add(inputColumn, done)));
  sums = llvm::to_vector_of<Value>(branch.getResults());
}

/// Adds the sums of rows of a list to those of the item's rows.
void GemmEmitter::addScattered(const Item &item, const Block &block, Value row,
                               Value scratchRow, Value scratchColumn,
                               int64_t rowTiles, int64_t columns) {
  Value height =
      min(sub(item.count, row), index(rowTiles * TileRegisters::rows));
  loop(index(0), height, 1, [&](Value r) {
    Value to = sub(rows->at(add(add(item.first, row), r)), block.firstOfItem);
    for (int64_t column = 0; column < columns; column += target.lanes()) {
      SmallVector<Value> at{add(scratchRow, to), add(scratchColumn, column)};
      Value more = vector::LoadOp::create(b, accumulator, partial,
                                          add(mul(r, columns), column));
      Value sofar = vector::LoadOp::create(b, accumulator, scratch, at);
      vector::StoreOp::create(b, arith::AddFOp::create(b, sofar, more), scratch,
                              at);
    }
  });
}

} // namespace coppice::cpu
