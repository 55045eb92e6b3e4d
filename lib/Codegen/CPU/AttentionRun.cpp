//===- AttentionRun.cpp - a run of rows against a range of keys -----------===//

#include "AttentionRun.h"
#include "VectorAccess.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace coppice::cpu {

//===----------------------------------------------------------------------===//
// Shapes and memory
//===----------------------------------------------------------------------===//

AttentionBuilder::AttentionBuilder(ImplicitLocOpBuilder &b,
                                   const KernelShell &shell,
                                   const CPUTarget &target,
                                   decoder::AttentionOp op)
    : KernelBuilder(b, shell), math(b, target), op(op),
      headDim(op.getHeadDim()), kvHeads(op.getKvHeads()), lanes(math.lanes()) {
  // Queries are negated where the scale is negative, so that the largest score
  // is that of the largest product.
  scale = std::abs(op.getScale().convertToFloat()) * llvm::numbers::log2ef;
  if (op.getRowList())
    rowSet.emplace(b, shell, op.getRowList(), op.getRowCount(), 1, 1);
  if (int64_t lists = countLists(); lists > kvHeads) {
    copies = lists / kvHeads;
    kvHeads = lists;
  }
  group = op.getQueryHeads() / kvHeads;
}

Value AttentionBuilder::countRows() {
  return rowSet ? rowSet->count()
                : memref::DimOp::create(b, argumentOf(op.getSlots()), 0)
                      .getResult();
}

std::pair<Value, Value> AttentionBuilder::itemsOfCall(Value rows,
                                                      int64_t ofRow) {
  if (!rowSet)
    return {shell.begin, shell.end};
  Value all =
      mul(memref::DimOp::create(b, argumentOf(op.getSlots()), 0), ofRow);
  Value kept = mul(rows, ofRow);
  return {portionOf(shell.begin, kept, all), portionOf(shell.end, kept, all)};
}

AttentionRun::AttentionRun(ImplicitLocOpBuilder &b, const KernelShell &shell,
                           const CPUTarget &target, decoder::AttentionOp op,
                           int64_t rows, int64_t keys, bool allHeads)
    : AttentionBuilder(b, shell, target, op), keys(keys), rows(rows) {
  bool pairs =
      math.hasPairProducts() && getElementTypeOrSelf(op.getKeys()).isBF16();
  depth = pairs ? 2 : 1;
  element = pairs ? Type(b.getI16Type()) : Type(b.getF32Type());

  // Tiles of equal height, and as many registers as there are beside one row of
  // the right-hand side and a broadcast.
  int64_t heads = rows * group;
  int64_t highest = lanes == 16 ? 8 : 6;
  height = llvm::divideCeil(heads, llvm::divideCeil(heads, highest));
  vectors = 4;
  while (vectors > 1 && (height * vectors + vectors + 1 > math.registers() ||
                         height * vectors > 16 || keys % (vectors * lanes)))
    vectors /= 2;
  heads = llvm::alignTo(heads, height);
  linesOfHead = allHeads ? heads : 0;
  int64_t lines = allHeads ? heads * kvHeads : heads;

  int64_t width = vectors * lanes, panels = llvm::divideCeil(headDim, width);
  int64_t padded = vectorsOfHead() * lanes;
  int64_t steps = llvm::divideCeil(headDim, depth);
  queries = allocate({lines, padded}, true);
  packedKeys = allocate({keys / width, steps, width * depth}, true);
  packedValues = allocate({panels, keys / depth, width * depth}, true);
  weights = allocate({heads, keys}, true);
  scores = allocate({height, keys}, false);
  sums = allocate({lines, panels * width}, false);
  for (Value *memory : {&largest, &totals, &shrinks})
    *memory = allocate({lines, lanes}, false);
  if (hasBlocks())
    for (Value *memory : {&places, &nextBlocks})
      *memory = onStack({rows}, b.getIndexType());
  if (drops())
    keptTiles = onStack({heads / height}, b.getIndexType());

  // The columns that fill up the last panel are never written again.
  Value nothing =
      arith::ConstantOp::create(b, b.getZeroAttr(packedType(lanes)));
  for (int64_t v = vectorsOfHead(); v < panels * vectors; ++v)
    loop(index(0), index(keys / depth), 1, [&](Value key) {
      store(nothing, packedValues,
            {index(v / vectors), key, index(v % vectors * lanes * depth)});
    });
}

Value AttentionRun::allocate(ArrayRef<int64_t> shape, bool packed) {
  return onStack(shape, packed ? element : Type(b.getF32Type()));
}

Value AttentionBuilder::loadIndex(Value tensor, Value row) {
  Value element =
      memref::LoadOp::create(b, argumentOf(tensor), ValueRange{row});
  return arith::IndexCastOp::create(b, b.getIndexType(), element);
}

Value AttentionBuilder::startOf(Value position) {
  std::optional<uint64_t> window = op.getWindow();
  if (!window)
    return index(0);
  return max(index(0), sub(add(position, 1), index(*window)));
}

/// The positions of a block, counted from its first, that some of the rows
/// [first, last] of a run attend to.
AttentionRun::Range AttentionRun::rangeOf(const Run &run, const Block &block,
                                          Value first, Value last) {
  auto clamp = [&](Value value) {
    return min(max(value, index(0)), block.count);
  };
  auto past = [&](Value row) {
    return sub(add(positionOf(run, row), 1), block.from);
  };
  Range range{index(0), clamp(past(last))};
  if (std::optional<uint64_t> window = op.getWindow())
    range.from = clamp(sub(past(first), index(*window)));
  return range;
}

/// The same for a tile of heads, in whole registers of keys, but for the end.
AttentionRun::Range
AttentionRun::rangeOfTile(const Run &run, const Block &block, Value firstHead) {
  Range range = rangeOf(run, block, rowOf(run, firstHead),
                        rowOf(run, add(firstHead, height - 1)));
  int64_t width = vectors * lanes;
  range.from = mul(div(range.from, width), width);
  if (block.listed) {
    Value isWanted = this->isWanted(block, rowOf(run, firstHead),
                                    rowOf(run, add(firstHead, height - 1)));
    range.to = arith::SelectOp::create(b, isWanted, range.to, range.from);
  }
  return range;
}

//===----------------------------------------------------------------------===//
// Products, weights and sums
//===----------------------------------------------------------------------===//

/// sums[r, c] + sum over k in [from, to) of lhs[firstRow + r, k] *
/// rhs[panel, k, c], k in steps of `depth` elements.
SmallVector<Value> AttentionRun::product(ValueRange sums, Value lhs,
                                         Value firstRow, Value rhs, Value panel,
                                         Value from, Value to) {
  SmallVector<Value> lines;
  for (int64_t r = 0; r < height; ++r)
    lines.push_back(add(firstRow, r));
  return loop(from, to, 1, sums, [&](Value k, ValueRange carried) {
    SmallVector<Value> right, next;
    for (int64_t v = 0; v < vectors; ++v)
      right.push_back(vector::LoadOp::create(
          b, packedType(lanes), rhs,
          ValueRange{panel, k, index(v * lanes * depth)}));
    for (int64_t r = 0; r < height; ++r) {
      Value left;
      if (depth == 1) {
        left = splat(memref::LoadOp::create(b, lhs, ValueRange{lines[r], k}),
                     math.f32s());
      } else {
        Value pair = vector::LoadOp::create(b, VectorType::get(2, element), lhs,
                                            ValueRange{lines[r], mul(k, 2)});
        pair = vector::BitCastOp::create(b, VectorType::get(1, b.getI32Type()),
                                         pair);
        left = vector::BitCastOp::create(
            b, packedType(lanes),
            splat(vector::ExtractOp::create(b, pair, 0),
                  VectorType::get(lanes, b.getI32Type())));
      }
      for (int64_t v = 0; v < vectors; ++v) {
        Value sum = carried[r * vectors + v];
        next.push_back(
            depth == 2
                ? math.addPairProducts(sum, left, right[v])
                : vector::FMAOp::create(b, left, right[v], sum).getResult());
      }
    }
    return next;
  });
}

/// The weights of a tile of heads for the keys of a block, and what their sums
/// have to shrink by. With a threshold it gives an i1, did some head keep the
/// block, else null.
Value AttentionRun::emitWeights(const Run &run, const Block &block,
                                Value tile) {
  Value first = mul(tile, height);
  Range range = rangeOfTile(run, block, first);
  int64_t width = vectors * lanes;
  Value firstPanel = div(range.from, width),
        lastPanel = ceilDiv(range.to, width);
  loop(firstPanel, lastPanel, 1, [&](Value panel) {
    SmallVector<Value> none(height * vectors, zeros(math.f32s()));
    SmallVector<Value> dots =
        product(none, queries, lineOf(run, first), packedKeys, panel, index(0),
                index(llvm::divideCeil(headDim, depth)));
    for (int64_t r = 0; r < height; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        store(dots[r * vectors + v], scores,
              {index(r), add(mul(panel, width), v * lanes)});
  });
  Range whole{range.from, mul(lastPanel, width)};
  auto emitLine = [&](Value line) {
    return emitSoftmax(run, block, add(first, line), line, whole);
  };
  if (!drops()) {
    loop(index(0), index(height), 1, emitLine);
    return {};
  }
  Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
  Value kept =
      loop(index(0), index(height), 1, no,
           [&](Value line, ValueRange carried) -> SmallVector<Value> {
             return {arith::OrIOp::create(b, carried[0], emitLine(line))};
           })[0];
  memref::StoreOp::create(
      b, arith::IndexCastUIOp::create(b, b.getIndexType(), kept), keptTiles,
      ValueRange{tile});
  return kept;
}

/// `weigh`, unless the best score (in each lane) of a head in a block of
/// another than its row's own is too low: then `drop`. Gives an i1: is it kept?
Value AttentionRun::weighOrDrop(const Run &run, const Block &block, Value row,
                                Value best, Value offset,
                                llvm::function_ref<void()> weigh,
                                llvm::function_ref<void()> drop) {
  auto size = op.getDropSizeAttr().getInt();
  Value weight = vector::ExtractOp::create(b, exponent(best, offset), 0);
  auto least =
      static_cast<float>(std::log2(op.getDropBelowAttr().getValueAsDouble()));
  // NaN is not low.
  Value isHigh =
      arith::CmpFOp::create(b, arith::CmpFPredicate::UGE, weight, f32(least));
  Value isOwn = compare(arith::CmpIPredicate::eq, div(block.from, size),
                        div(positionOf(run, row), size));
  Value kept = arith::OrIOp::create(b, isHigh, isOwn);
  auto choice = scf::IfOp::create(b, kept, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(choice.thenBlock());
  weigh();
  b.setInsertionPointToStart(choice.elseBlock());
  drop();
  return kept;
}

/// The weights of one head. Most see all of a block: without masks, all in
/// registers. With a threshold it gives an i1, is the block kept, else null.
Value AttentionRun::emitSoftmax(const Run &run, const Block &block, Value head,
                                Value scoresLine, Range keysOfTile) {
  Value row = rowOf(run, head), line = lineOf(run, head);
  Range range = rangeOf(run, block, row, row);
  Value seen = sub(range.to, range.from);
  if (block.listed)
    seen = arith::SelectOp::create(b, wants(row, block.listed), seen, index(0));
  Value all =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, seen, index(keys));
  SmallVector<Type> results(drops() ? 1 : 0, b.getI1Type());
  auto split =
      scf::IfOp::create(b, TypeRange(results), all, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  auto finish = [&](Value best, Value offset, llvm::function_ref<void()> weigh,
                    llvm::function_ref<void()> drop) {
    if (drops())
      scf::YieldOp::create(
          b, weighOrDrop(run, block, row, best, offset, weigh, drop));
    else
      weigh();
  };

  b.setInsertionPointToStart(split.thenBlock());
  int64_t pieces = keys / lanes;
  SmallVector<Value> values;
  for (int64_t i = 0; i < pieces; ++i)
    values.push_back(load(scores, {scoresLine, index(i * lanes)}));
  auto fold = [&](SmallVector<Value> list,
                  llvm::function_ref<Value(Value, Value)> combine) {
    for (; list.size() > 1; list.resize((list.size() + 1) / 2))
      for (size_t i = 0, half = (list.size() + 1) / 2; i + half < list.size();
           ++i)
        list[i] = combine(list[i], list[i + half]);
    return list[0];
  };
  Value best = math.maximumOfLanes(
      fold(values, [&](Value x, Value y) { return math.maximum(x, y); }));
  Value offset = updateLargest(line, best);
  auto dropAt = [&](Value key) { storeWeight(zeros(math.f32s()), head, key); };
  finish(
      best, offset,
      [&] {
        for (int64_t i = 0; i < pieces; ++i) {
          values[i] = weightOf(values[i], offset);
          storeWeight(values[i], head, index(i * lanes));
        }
        addTotal(line, fold(values,
                            [&](Value x, Value y) { return this->sum(x, y); }));
      },
      [&] {
        for (int64_t i = 0; i < pieces; ++i)
          dropAt(index(i * lanes));
      });

  b.setInsertionPointToStart(split.elseBlock());
  auto intType = VectorType::get(lanes, b.getI32Type());
  auto asInts = [&](Value value) {
    return splat(arith::IndexCastOp::create(b, b.getI32Type(), value), intType);
  };
  SmallVector<int32_t> numbers(llvm::to_vector(llvm::seq<int32_t>(lanes)));
  Value ascending = arith::ConstantOp::create(
      b, DenseElementsAttr::get(intType, ArrayRef<int32_t>(numbers)));
  Value limit = asInts(seen);
  auto maskAt = [&](Value key) -> Value {
    Value offset =
        arith::AddIOp::create(b, ascending, asInts(sub(key, range.from)));
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, offset, limit);
  };
  ValueRange bests =
      loop(keysOfTile.from, keysOfTile.to, lanes, constant(kLowestScore),
           [&](Value key, ValueRange carried) -> SmallVector<Value> {
             Value score = arith::SelectOp::create(
                 b, maskAt(key), load(scores, {scoresLine, key}),
                 constant(kLowestScore));
             return {math.maximum(carried[0], score)};
           });
  best = math.maximumOfLanes(bests[0]);
  offset = updateLargest(line, best);
  finish(
      best, offset,
      [&] {
        ValueRange total =
            loop(keysOfTile.from, keysOfTile.to, lanes, zeros(math.f32s()),
                 [&](Value key, ValueRange carried) -> SmallVector<Value> {
                   Value weight =
                       weightOf(load(scores, {scoresLine, key}), offset);
                   weight = arith::SelectOp::create(b, maskAt(key), weight,
                                                    zeros(math.f32s()));
                   storeWeight(weight, head, key);
                   return {this->sum(carried[0], weight)};
                 });
        addTotal(line, total[0]);
      },
      [&] { loop(keysOfTile.from, keysOfTile.to, lanes, dropAt); });
  return drops() ? split.getResult(0) : Value();
}

/// Takes note of the best score of a head, which is in each lane. Gives what
/// turns a scaled score into the exponent of its weight by being added.
Value AttentionRun::updateLargest(Value line, Value best) {
  SmallVector<Value> at{line, index(0)};
  Value before = load(largest, at);
  Value now = math.maximum(before, best);
  store(now, largest, at);
  Value offset = offsetOf(now);
  Value shrink = math.exp2(exponent(before, offset), /*coarse=*/false);
  // Of a row that has not attended to anything yet, the difference of the two
  // lowest scores is rounding alone, but of numbers so large that two to its
  // power may be infinite.
  if (hasBlocks() || op.getWindow() || drops())
    shrink = arith::SelectOp::create(
        b, arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, before, now),
        constant(1.0f), shrink);
  store(shrink, shrinks, at);
  store(multiply(load(totals, at), shrink), totals, at);
  return offset;
}

void AttentionRun::addTotal(Value line, Value total) {
  SmallVector<Value> at{line, index(0)};
  store(sum(load(totals, at), total), totals, at);
}

void AttentionRun::storeWeight(Value weight, Value head, Value key) {
  if (depth == 2)
    weight = math.toBF16(weight);
  storeVector(b, weight, weights, {head, key});
}

/// sums = sums * shrink + weights . values, for a tile of heads.
void AttentionRun::emitSums(const Run &run, const Block &block, Value tile) {
  Value first = mul(tile, height), line = lineOf(run, first);
  Range range = rangeOfTile(run, block, first);
  int64_t width = vectors * lanes;
  loop(index(0), index(llvm::divideCeil(headDim, width)), 1, [&](Value panel) {
    SmallVector<Value> columns, before;
    for (int64_t v = 0; v < vectors; ++v)
      columns.push_back(add(mul(panel, width), v * lanes));
    for (int64_t r = 0; r < height; ++r) {
      Value at = add(line, r);
      Value shrink = load(shrinks, {at, index(0)});
      for (Value column : columns)
        before.push_back(multiply(load(sums, {at, column}), shrink));
    }
    SmallVector<Value> after =
        product(before, weights, first, packedValues, panel,
                div(range.from, depth), ceilDiv(range.to, depth));
    for (int64_t r = 0; r < height; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        store(after[r * vectors + v], sums, {add(line, r), columns[v]});
  });
}

Value AttentionRun::attendBlock(const Run &run, const Block &block) {
  packKeys(run, block);
  if (drops())
    return attendKept(run, block);
  packValues(run, block);
  Value tiles = tilesOf(run);
  loop(index(0), tiles, 1, [&](Value tile) { emitWeights(run, block, tile); });
  loop(index(0), tiles, 1, [&](Value tile) { emitSums(run, block, tile); });
  return isDoubtful(run, block);
}

/// With a threshold: values are packed if some head keeps the block. Sums of
/// tiles that do not are as they were, for no largest score has changed.
Value AttentionRun::attendKept(const Run &run, const Block &block) {
  Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
  Value tiles = tilesOf(run);
  Value any = loop(index(0), tiles, 1, no,
                   [&](Value tile, ValueRange carried) -> SmallVector<Value> {
                     return {arith::OrIOp::create(
                         b, carried[0], emitWeights(run, block, tile))};
                   })[0];
  auto branch = scf::IfOp::create(b, TypeRange(no.getType()), any,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, no);
  b.setInsertionPointToStart(branch.thenBlock());
  packValues(run, block);
  loop(index(0), tiles, 1, [&](Value tile) {
    Value kept = memref::LoadOp::create(b, keptTiles, ValueRange{tile});
    auto some =
        scf::IfOp::create(b, compare(arith::CmpIPredicate::ne, kept, index(0)));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(some.thenBlock());
    emitSums(run, block, tile);
  });
  scf::YieldOp::create(b, isDoubtful(run, block));
  return branch.getResult(0);
}

Value AttentionRun::attendRange(const Run &run, Range range, Value listed) {
  Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
  if (drops()) {
    // Whole blocks, but for the first one of a window.
    int64_t size = op.getDropSizeAttr().getInt();
    return loop(
        div(range.from, size), ceilDiv(range.to, size), 1, no,
        [&](Value number, ValueRange carried) -> SmallVector<Value> {
          Value from = max(range.from, mul(number, size));
          Value to = min(range.to, mul(add(number, 1), size));
          Block block{from, sub(to, from), {}, listed};
          return {arith::OrIOp::create(b, carried[0], attendBlock(run, block))};
        })[0];
  }
  return loop(
      range.from, range.to, keys, no,
      [&](Value at, ValueRange carried) -> SmallVector<Value> {
        Block block{at, min(sub(range.to, at), index(keys)), {}, listed};
        return {arith::OrIOp::create(b, carried[0], attendBlock(run, block))};
      })[0];
}

Value AttentionRun::attend(const Run &run, Range range, Range listed) {
  prepare(run);
  return hasBlocks() ? attendListed(run, range, listed)
                     : attendRange(run, range, Value());
}

void AttentionRun::attendAllHeads(Run run, Value from, Value to) {
  auto forEachHead = [&](llvm::function_ref<void()> body) {
    loop(index(0), index(kvHeads), 1, [&](Value kvHead) {
      run.kvHead = kvHead;
      body();
    });
  };
  forEachHead([&] { prepare(run); });
  loop(from, to, keys, [&](Value at) {
    Value left = sub(add(run.position, 1), add(at, keys));
    Value next = mul(min(max(left, index(0)), index(keys)), kvHeads * headDim);
    Block block{at, min(sub(to, at), index(keys)), next};
    forEachHead([&] { attendBlock(run, block); });
  });
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

Value AttentionBuilder::shareOf(Value total) {
  Value none = zeros(math.f32s());
  Value any = arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, total, none);
  return arith::SelectOp::create(
      b, any, arith::DivFOp::create(b, constant(1.0f), total), none);
}

void AttentionBuilder::storeColumns(Value sum, Value share, Value row,
                                    Value head, int64_t vector) {
  Type storage = getElementTypeOrSelf(op.getResult());
  Value value = multiply(sum, share);
  value = math.convert(value, storage);
  storeVector(b, value, shell.arguments.back(),
              {row, add(mul(head, headDim), vector * lanes)},
              mask(headDim - vector * lanes, lanes));
}

void AttentionRun::storeResult(const Run &run) {
  Value firstHead = mul(run.kvHead, group);
  loop(index(0), headsOf(run), 1, [&](Value each) {
    Value line = lineOf(run, each);
    Value share = shareOf(math.sumOfLanes(load(totals, {line, index(0)})));
    Value row = rowAt(add(run.row, div(each, group)));
    Value head = add(firstHead, rem(each, group));
    for (int64_t v = 0; v < vectorsOfHead(); ++v)
      storeColumns(load(sums, {line, index(v * lanes)}), share, row, head, v);
  });
}

void AttentionRun::storePartial(const Run &run, Value offset) {
  loop(index(0), headsOf(run), 1, [&](Value each) {
    Value line = lineOf(run, each);
    Value at = add(offset, mul(each, partialWidth(headDim)));
    for (int64_t v = 0; v < vectorsOfHead(); ++v)
      store(load(sums, {line, index(v * lanes)}), shell.workspace,
            add(at, v * lanes));
    store(load(largest, {line, index(0)}), shell.workspace,
          add(at, largestInPartial()));
    store(math.sumOfLanes(load(totals, {line, index(0)})), shell.workspace,
          add(at, totalInPartial()));
  });
}

} // namespace coppice::cpu
