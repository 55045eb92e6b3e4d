//===- AttentionPacking.cpp - queries, keys and values of a run, packed ---===//
//
// In: rows of queries, and positions of the caches. Out: the same in the order
// in which products read them (AttentionRun.h), and whether a value among them
// is not finite, which weights of 0 would not hide.
//
//===----------------------------------------------------------------------===//

#include "AttentionRun.h"
#include "VectorAccess.h"

using namespace mlir;

namespace coppice::cpu {

/// Fetches the queries and clears all sums. Heads that fill up the last tile
/// are copies of the last one.
void AttentionRun::prepare(const Run &run) {
  Value last = sub(headsOf(run), index(1));
  Value firstHead = mul(run.kvHead, group);
  Type storage = getElementTypeOrSelf(op.getQuery());
  loop(index(0), mul(tilesOf(run), height), 1, [&](Value each) {
    Value line = lineOf(run, each), head = min(each, last);
    Value row = rowAt(add(run.row, div(head, group)));
    Value column = mul(add(firstHead, rem(head, group)), headDim);
    for (int64_t v = 0; v < vectorsOfHead(); ++v) {
      Value query = loadVector(b, argumentOf(op.getQuery()), storage, lanes,
                               {row, add(column, v * lanes)},
                               mask(headDim - v * lanes, lanes));
      if (op.getScale().isNegative())
        query = arith::NegFOp::create(b, query);
      if (depth == 1)
        query = convertFloat(b, query, b.getF32Type());
      else if (!storage.isBF16())
        query = math.toBF16(convertFloat(b, query, b.getF32Type()));
      storeVector(b, query, queries, {line, index(v * lanes)});
    }
    int64_t width = cast<MemRefType>(sums.getType()).getDimSize(1);
    for (int64_t column = 0; column < width; column += lanes)
      store(zeros(math.f32s()), sums, {line, index(column)});
    store(zeros(math.f32s()), totals, {line, index(0)});
    store(constant(kLowestScore), largest, {line, index(0)});
  });
}

/// Packs keys by transposing squares: `lanes` keys by `lanes` times `depth`
/// columns. Behind the last key come copies of it, up to a whole panel.
void AttentionRun::packKeys(const Run &run, const Block &block) {
  Value memory = argumentOf(op.getKeys());
  int64_t width = vectors * lanes, square = lanes * depth;
  int64_t whole = headDim / square * square;
  Value end = mul(ceilDiv(block.count, width), width);
  loop(index(0), end, lanes, [&](Value key) {
    if (whole)
      loop(index(0), index(whole), square, [&](Value column) {
        packKeyColumns(memory, run, block, key, column, square);
      });
    if (whole < headDim)
      packKeyColumns(memory, run, block, key, index(whole), headDim - whole);
  });
}

/// Fetches what lies `offset` elements behind the start of this head's share of
/// the next block, whose shares are laid end to end: of keys and of values,
/// each read in the order of memory. The prefetcher of the hardware follows
/// such streams, and it takes two of them to reach the bandwidth of DRAM.
void AttentionRun::prefetch(const Run &run, const Block &block, Value offset) {
  if (!block.next)
    return;
  Value column =
      min(add(mul(cacheHead(run.kvHead), keys * headDim), offset), block.next);
  for (Value cache : {op.getKeys(), op.getValues()})
    memref::PrefetchOp::create(
        b, argumentOf(cache),
        ValueRange{run.slot, add(block.from, keys), column},
        /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
}

void AttentionRun::packKeyColumns(Value memory, const Run &run,
                                  const Block &block, Value key, Value column,
                                  int64_t count) {
  Type storage = getElementTypeOrSelf(op.getKeys());
  Value from = add(mul(cacheHead(run.kvHead), headDim), column);
  Value last = sub(block.count, index(1));
  SmallVector<Value> rows;
  for (int64_t i = 0; i < lanes; ++i) {
    Value position = add(block.from, min(add(key, i), last));
    if (i % 2 == 0)
      prefetch(run, block,
               add(add(mul(key, headDim / 2), mul(column, lanes / 2)),
                   i / 2 * lanes * depth));
    Value row =
        loadVector(b, memory, storage, lanes * depth,
                   {run.slot, position, from}, mask(count, lanes * depth));
    if (depth == 2)
      row = vector::BitCastOp::create(b, VectorType::get(lanes, b.getI32Type()),
                                      row);
    else
      row = convertFloat(b, row, b.getF32Type());
    rows.push_back(row);
  }
  SmallVector<Value> columns = math.transpose(rows);

  int64_t width = vectors * lanes;
  Value panel = div(key, width), within = mul(rem(key, width), depth);
  for (int64_t i = 0, steps = llvm::divideCeil(count, depth); i < steps; ++i)
    storeVector(
        b,
        depth == 2 ? vector::BitCastOp::create(b, packedType(lanes), columns[i])
                         .getResult()
                   : columns[i],
        packedKeys, {panel, add(div(column, depth), i), within});
}

/// Packs values: rows as they are, or two of them with their columns side by
/// side.
void AttentionRun::packValues(const Run &run, const Block &block) {
  Value memory = argumentOf(op.getValues());
  Type storage = getElementTypeOrSelf(op.getValues());
  Value column = mul(cacheHead(run.kvHead), headDim);
  Value last = sub(block.count, index(1));
  int64_t wide = lanes * depth;
  loop(index(0), ceilDiv(block.count, depth), 1, [&](Value step) {
    for (int64_t v = 0; v < vectorsOfHead(); v += depth) {
      auto loadRow = [&](int64_t i) {
        Value key = min(add(mul(step, depth), i), last);
        if (i == 0)
          prefetch(
              run, block,
              add(mul(div(key, 2), headDim), keys * headDim / 2 + v * lanes));
        return loadVector(
            b, memory, storage, wide,
            {run.slot, add(block.from, key), add(column, v * lanes)},
            mask(headDim - v * lanes, wide));
      };
      auto storePacked = [&](Value packed, int64_t v) {
        store(packed, packedValues,
              {index(v / vectors), step, index(v % vectors * wide)});
      };
      if (depth == 1) {
        storePacked(convertFloat(b, loadRow(0), b.getF32Type()), v);
        continue;
      }
      VectorType type = packedType(lanes);
      Value first = arith::BitcastOp::create(b, type, loadRow(0));
      Value second = arith::BitcastOp::create(b, type, loadRow(1));
      // An odd number of values is filled up by zeros: the weight 0 alone
      // would not hide one that is not finite.
      Value isThere =
          compare(arith::CmpIPredicate::sle, add(mul(step, 2), 1), last);
      second = arith::SelectOp::create(b, isThere, second, zeros(type));
      for (int64_t half = 0; half < 2 && v + half < vectorsOfHead(); ++half) {
        SmallVector<int64_t> order;
        for (int64_t lane = half * lanes; lane < (half + 1) * lanes; ++lane)
          order.append({lane, wide + lane});
        storePacked(vector::ShuffleOp::create(b, first, second, order),
                    v + half);
      }
    }
  });
}

/// Is there a value in the block that is not finite and that not all rows of
/// the run attend to? The first row does not look at the last positions, the
/// last row not at those that have left its window, and with lists of blocks
/// any row may not want this one.
Value AttentionRun::isDoubtful(const Run &run, const Block &block) {
  Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
  if (rows == 1)
    return no;
  Value edge =
      arith::CmpIOp::create(b, arith::CmpIPredicate::sgt,
                            add(block.from, block.count), add(run.position, 1));
  if (std::optional<uint64_t> window = op.getWindow()) {
    Value start = sub(endOf(run), index(*window));
    edge = arith::OrIOp::create(
        b, edge,
        arith::CmpIOp::create(b, arith::CmpIPredicate::slt, block.from, start));
  }
  if (block.listed) {
    Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
    edge = arith::OrIOp::create(
        b, edge, arith::XOrIOp::create(b, isWantedByAll(run, block), yes));
  }
  auto check = scf::IfOp::create(b, TypeRange(b.getI1Type()), edge,
                                 /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(check.thenBlock());
  scf::YieldOp::create(b, hasNonFiniteValue(block));
  b.setInsertionPointToStart(check.elseBlock());
  scf::YieldOp::create(b, no);
  return check.getResult(0);
}

Value AttentionRun::hasNonFiniteValue(const Block &block) {
  // Without the sign, the bits of numbers are in the order of the numbers.
  Type bits = depth == 2 ? b.getI16Type() : b.getI32Type();
  auto type = VectorType::get(lanes * depth, bits);
  auto splatOf = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(type, b.getIntegerAttr(bits, value)));
  };
  Value magnitude = splatOf(depth == 2 ? 0x7fff : 0x7fffffff);
  ValueRange most =
      loop(index(0), ceilDiv(block.count, depth), 1, zeros(type),
           [&](Value step, ValueRange carried) -> SmallVector<Value> {
             Value most = carried[0];
             for (int64_t v = 0; v < vectorsOfHead(); ++v) {
               Value value = vector::LoadOp::create(
                   b, packedType(lanes), packedValues,
                   ValueRange{index(v / vectors), step,
                              index(v % vectors * lanes * depth)});
               if (depth == 1)
                 value = arith::BitcastOp::create(b, type, value);
               most = arith::MaxUIOp::create(
                   b, most, arith::AndIOp::create(b, value, magnitude));
             }
             return {most};
           });
  Value top =
      vector::ReductionOp::create(b, vector::CombiningKind::MAXUI, most[0]);
  return arith::CmpIOp::create(
      b, arith::CmpIPredicate::uge, top,
      arith::ConstantOp::create(
          b, b.getIntegerAttr(bits, depth == 2 ? 0x7f80 : 0x7f800000)));
}

} // namespace coppice::cpu
