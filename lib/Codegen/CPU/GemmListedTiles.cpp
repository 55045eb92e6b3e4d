//===- GemmListedTiles.cpp - products of listed rows in tile registers ----===//
//
// In: an item whose rows are those of a list, or of one for each few panels.
// Out: its product by AMX. Rows that are listed have to be copied to where
// tiles can be loaded, for each panel anew where panels have lists of their
// own; that takes as long as the product, if one waits for the other. So:
//
//   for each block of K:              // A's part: in L2, for all panels
//     for each panel:                 // W's part: in L1
//       for each 16 rows of its list:
//         1 x 4 tiles of sums = scratch (zero in the first block)
//         for each step of 32 values along K:
//           sums += A . W
//           the next 16 rows' values take the place of those just used
//         scratch = sums
//   for each panel: C = epilogue(scratch)
//
// Where each group of K has a list, a block is of one group, its sums begin
// with zero, and each row of them is added to the item's.
//
// A tile of A meets a whole panel, so that it is copied for one use and its
// copy is one tile's. With 2 x 2 tiles there are fewer loads, but a copy that
// is used twice, and L1 has no room for both.
//
//===----------------------------------------------------------------------===//

#include "GemmEmitter.h"

using namespace mlir;

namespace coppice::cpu {

/// The rows of a panel of an item; selects their list.
GemmEmitter::Item GemmEmitter::rowsOfPanel(const Item &item, Value local) {
  if (!gemm.rowsPerPanel)
    return item;
  Item own = item;
  rows->select(div(add(item.panel, local), gemm.rowsPerPanel / config.panel));
  std::tie(own.first, own.count) = shareOfList(item.block);
  return own;
}

void GemmEmitter::emitListedItem(const Item &item) {
  loop(index(0), index(gemm.k()), depthOfBlock(), [&](Value from) {
    emitListedBlock(item,
                    {from, min(add(from, depthOfBlock()), index(gemm.k()))});
  });
  emitListedEpilogue(item);
}

void GemmEmitter::emitListedBlock(const Item &item, const Block &block) {
  loop(index(0), item.panelCount, 1, [&](Value local) {
    Item own = rowsOfPanel(item, local);
    auto any =
        scf::IfOp::create(b, arith::CmpIOp::create(b, arith::CmpIPredicate::sgt,
                                                   own.count, index(0)));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(any.thenBlock());
    for (size_t number = 0; number < weights.size(); ++number)
      emitListedPanel(own, block, local, number);
  });
}

void GemmEmitter::emitListedEpilogue(const Item &item) {
  loop(index(0), item.panelCount, 1, [&](Value local) {
    Item own = rowsOfPanel(item, local);
    emitEpilogueOfPanel(own, local, mul(local, listedRows()), index(0),
                        index(0), own.count);
  });
}

void GemmEmitter::emitListedPanel(const Item &item, const Block &block,
                                  Value local, size_t number) {
  GemmProduct::Operands operands;
  setWeights(operands, item, block, local, number);
  operands.column = index(0);
  operands.lines = config.ahead ? 2 : 0;
  Value steps = div(sub(block.to, block.from), TileRegisters::depth);
  setNext(item, block, index(0));
  loop(index(0), steps, 1,
       [&](Value at) { copyNext(at, 0, TileRegisters::rows); });
  loop(index(0), item.count, TileRegisters::rows, [&](Value row) {
    setNext(item, block, add(row, TileRegisters::rows));
    if (operands.lines)
      setAhead(operands, {row, item.count, TileRegisters::rows, index(0)},
               distanceToNext(item, block, local),
               bytesAlongK(sub(block.to, block.from)));
    Value scratchRow = mul(local, listedRows());
    int64_t scratchColumn = number * config.panel;
    Value first =
        add(mul(add(scratchRow, row), scratchColumns()), scratchColumn);
    SmallVector<Value> sums = multiplyListed(operands, block, steps, first);
    // Rows of a group's list are added to the item's.
    bool isSpread = block.first != nullptr;
    for (auto [c, sum] : llvm::enumerate(sums)) {
      auto column = static_cast<int64_t>(c) * TileRegisters::columns;
      if (isSpread)
        tiles.store(sum, partial, index(column), config.panel * 4);
      else
        tiles.store(sum, scratch, add(first, column), scratchColumns() * 4);
    }
    if (isSpread)
      addScattered(item, block, row, scratchRow, index(scratchColumn),
                   /*rowTiles=*/1, config.panel);
  });
}

/// The sums of 16 rows by a panel over a block of K. They go on from those that
/// begin at element `first` of the scratch.
SmallVector<Value>
GemmEmitter::multiplyListed(const GemmProduct::Operands &operands,
                            const Block &block, Value steps, Value first) {
  int64_t columnTiles = config.panel / TileRegisters::columns;
  SmallVector<Value> sums;
  if (block.first)
    for (int64_t c = 0; c < columnTiles; ++c)
      sums.push_back(tiles.zero());
  else
    sums = loadListed(block, first);
  return llvm::to_vector(
      loop(index(0), steps, 1, sums, [&](Value at, ValueRange carried) {
        SmallVector<Value> next(carried);
        if (operands.lines)
          product->fetchStep(operands, mul(at, TileRegisters::depth / 2));
        Value left = tiles.load(copied, mul(at, kCopiedTile), kCopiedRow * 2);
        for (int64_t c = 0; c < columnTiles; ++c) {
          Value right =
              tiles.load(operands.weights,
                         add(add(operands.first,
                                 mul(at, TileRegisters::depth * config.panel)),
                             c * TileRegisters::columns * 2),
                         config.panel * 4);
          next[c] = tiles.multiply(next[c], left, right);
          copyNext(at, c * TileRegisters::rows / columnTiles,
                   (c + 1) * TileRegisters::rows / columnTiles);
        }
        return next;
      }));
}

/// Sums of earlier blocks: zero in the first.
SmallVector<Value> GemmEmitter::loadListed(const Block &block, Value first) {
  int64_t columnTiles = config.panel / TileRegisters::columns;
  auto choice = scf::IfOp::create(
      b, SmallVector<Type>(columnTiles, tiles.type()),
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, block.from, index(0)),
      /*withElseRegion=*/true);
  auto yield = [&](mlir::Block *body, bool isZero) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(body);
    SmallVector<Value> sums;
    for (int64_t c = 0; c < columnTiles; ++c)
      sums.push_back(isZero ? tiles.zero()
                            : tiles.load(scratch,
                                         add(first, c * TileRegisters::columns),
                                         scratchColumns() * 4));
    scf::YieldOp::create(b, sums);
  };
  yield(choice.thenBlock(), true);
  yield(choice.elseBlock(), false);
  return llvm::to_vector_of<Value>(choice.getResults());
}

/// The 16 rows of the item from `row` on are those to be copied next. Behind
/// the last one are copies of it.
void GemmEmitter::setNext(const Item &item, const Block &block, Value row) {
  for (int64_t r = 0; r < TileRegisters::rows; ++r) {
    Value position =
        add(item.first, min(add(row, r), sub(item.count, index(1))));
    memref::StoreOp::create(
        b, add(mul(rowOfInput(position), gemm.k()), block.from), nextRows,
        index(r));
  }
}

/// Of the rows [from, to) of those that are next, step `at`.
void GemmEmitter::copyNext(Value at, int64_t from, int64_t to) {
  auto type = VectorType::get(TileRegisters::depth, b.getI16Type());
  for (int64_t r = from; r < to; ++r) {
    Value source = add(memref::LoadOp::create(b, nextRows, index(r)),
                       mul(at, TileRegisters::depth));
    Value values = vector::LoadOp::create(b, type, flatInput, source);
    vector::StoreOp::create(b, values, copied,
                            add(mul(at, kCopiedTile), r * kCopiedRow));
  }
}

} // namespace coppice::cpu
