//===- AttentionLists.cpp - which blocks of positions a run walks through -===//
//
// Each row of a run remembers where it is in its list and the block there; the
// smallest of these comes next. AttentionRun.h says what is done with it.
//
//===----------------------------------------------------------------------===//

#include "AttentionRun.h"

using namespace mlir;

namespace coppice::cpu {

/// Behind every block that a position can be in.
static constexpr int64_t kNoBlock = std::numeric_limits<int32_t>::max();

/// The block at `place` of a row's list; `kNoBlock` at its end.
Value AttentionRun::listedBlock(const Run &run, Value row, Value place,
                                Value end) {
  auto inside = scf::IfOp::create(
      b, TypeRange(b.getIndexType()),
      compare(arith::CmpIPredicate::slt, place, end), /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(inside.thenBlock());
  Value first = mul(cacheHead(run.kvHead), op.getBlocksPerHead());
  Value block = arith::IndexCastOp::create(
      b, b.getIndexType(),
      memref::LoadOp::create(
          b, argumentOf(op.getBlocks()),
          ValueRange{rowAt(add(run.row, row)), add(first, place)}));
  Value isThere = compare(arith::CmpIPredicate::sge, block, index(0));
  scf::YieldOp::create(b, ValueRange{arith::SelectOp::create(b, isThere, block,
                                                             index(kNoBlock))});
  b.setInsertionPointToStart(inside.elseBlock());
  scf::YieldOp::create(b, index(kNoBlock));
  return inside.getResult(0);
}

void AttentionRun::takeNext(const Run &run, Value row, Value place, Value end) {
  memref::StoreOp::create(b, place, places, ValueRange{row});
  memref::StoreOp::create(b, listedBlock(run, row, place, end), nextBlocks,
                          ValueRange{row});
}

Value AttentionRun::smallestNext(const Run &run) {
  return loop(index(0), run.count, 1, index(kNoBlock),
              [&](Value row, ValueRange carried) -> SmallVector<Value> {
                return {min(carried[0], memref::LoadOp::create(
                                            b, nextBlocks, ValueRange{row}))};
              })[0];
}

/// Does the row of the run attend to the block?
Value AttentionRun::wants(Value row, Value listed) {
  return compare(arith::CmpIPredicate::eq,
                 memref::LoadOp::create(b, nextBlocks, ValueRange{row}),
                 listed);
}

/// Does any of these rows of the run?
Value AttentionRun::isWanted(const Block &block, Value firstRow,
                             Value lastRow) {
  Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
  return loop(
      firstRow, add(lastRow, 1), 1, no,
      [&](Value row, ValueRange carried) -> SmallVector<Value> {
        return {arith::OrIOp::create(b, carried[0], wants(row, block.listed))};
      })[0];
}

Value AttentionRun::isWantedByAll(const Run &run, const Block &block) {
  Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
  return loop(
      index(0), run.count, 1, yes,
      [&](Value row, ValueRange carried) -> SmallVector<Value> {
        return {arith::AndIOp::create(b, carried[0], wants(row, block.listed))};
      })[0];
}

/// Walks through the blocks that some row wants. Each step takes one from the
/// list of at least one row, so it ends whatever the lists hold.
Value AttentionRun::attendListed(const Run &run, Range range, Range listed) {
  loop(index(0), run.count, 1,
       [&](Value row) { takeNext(run, row, listed.from, listed.to); });
  auto size = static_cast<int64_t>(*op.getBlockSize());
  Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
  auto walk = scf::WhileOp::create(b, TypeRange{no.getType()}, ValueRange{no});
  OpBuilder::InsertionGuard guard(b);
  mlir::Block *before =
      b.createBlock(&walk.getBefore(), {}, {no.getType()}, {b.getLoc()});
  Value isLeft = compare(arith::CmpIPredicate::slt,
                         mul(smallestNext(run), size), range.to);
  scf::ConditionOp::create(b, isLeft, before->getArgument(0));
  mlir::Block *after =
      b.createBlock(&walk.getAfter(), {}, {no.getType()}, {b.getLoc()});
  Value block = smallestNext(run), from = mul(block, size);
  Value doubtful = attendRange(
      run, {max(range.from, from), min(range.to, add(from, size))}, block);
  loop(index(0), run.count, 1, [&](Value row) {
    auto isDone = scf::IfOp::create(b, wants(row, block));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(isDone.thenBlock());
    Value place = memref::LoadOp::create(b, places, ValueRange{row});
    takeNext(run, row, add(place, 1), listed.to);
  });
  scf::YieldOp::create(
      b, ValueRange{arith::OrIOp::create(b, after->getArgument(0), doubtful)});
  return walk.getResult(0);
}

} // namespace coppice::cpu
