//===- AttentionTiles.cpp - a run of rows against tiles of keys -----------===//

#include "AttentionTiles.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace coppice::nvptx {

AttentionTiles::AttentionTiles(ImplicitLocOpBuilder &b, KernelShell &shell,
                               decoder::AttentionOp op, int64_t keys)
    : AttentionBuilder(b, shell, op), keys(keys),
      lines(shell.threads / 32 * 16),
      matrices(b, shell, getElementTypeOrSelf(op.getKeys())),
      exact(b, shell, op) {
  auto allocate = [&](int64_t rows) {
    return PaddedTile{allocateShared(rows * pitch()), pitch()};
  };
  queryTile = allocate(lines);
  keyTile = allocate(keys);
  valueTile = allocate(keys);
}

//===----------------------------------------------------------------------===//
// Runs
//===----------------------------------------------------------------------===//

/// Does row `number` of those that are asked for belong to the run of the one
/// before it?
Value AttentionTiles::follows(Value number, Value unit) {
  Value head = firstHeadOf(unit);
  Value row = rowAt(number, head), before = rowAt(sub(number, i32(1)), head);
  auto of = [&](Value tensor, Value row) { return loadElement(tensor, row); };
  Value here = of(op.getPositions(), row),
        there = of(op.getPositions(), before);
  Value isNext =
      op.getRowList() ? less(there, here) : equal(here, add(there, 1));
  Value same =
      both(isNext, equal(of(op.getSlots(), row), of(op.getSlots(), before)));
  if (!hasBlocks())
    return same;
  Value first = mul(kvHeadOf(unit), op.getBlocksPerHead());
  return loop(i32(0), i32(op.getBlocksPerHead()), i32(1), same,
              [&](Value place, ValueRange carried) {
                Value column = add(first, place);
                return SmallVector<Value>{
                    both(carried[0],
                         equal(loadElement(op.getBlocks(), {row, column}),
                               loadElement(op.getBlocks(), {before, column})))};
              })[0];
}

/// How many of the `most` - 1 rows behind row `number` belong to its run: a
/// lane looks at every 32nd.
Value AttentionTiles::countFollowers(Value number, Value most, Value unit) {
  Value count = i32(0), isOpen = equal(i32(0), i32(0));
  for (int64_t begin = 0; begin + 1 < lines / headsOfUnit(); begin += 32) {
    Value offset = add(add(lane(), 1), begin);
    Value isFollower = ifThen(less(offset, most), zero(b.getI1Type()), [&] {
      return SmallVector<Value>{follows(add(number, offset), unit)};
    })[0];
    Value votes = NVVM::VoteSyncOp::create(
        b, b.getI32Type(), i32(-1), isFollower, NVVM::VoteSyncKind::ballot);
    // The lowest bit that is not set, less 1: as many bits as precede it.
    Value missing = both(exclusive(votes, i32(-1)), add(votes, 1));
    Value found =
        LLVM::CtPopOp::create(b, b.getI32Type(), sub(missing, i32(1)));
    count = add(count, select(isOpen, found, i32(0)));
    isOpen = both(isOpen, equal(found, i32(32)));
  }
  return count;
}

AttentionTiles::Run AttentionTiles::findRun(Value number, Value most,
                                            Value unit) {
  Value others = countFollowers(number, most, unit);
  Value head = firstHeadOf(unit), first = rowAt(number, head),
        last = rowAt(add(number, others), head);
  return {number,
          add(others, 1),
          unit,
          loadElement(op.getSlots(), first),
          loadElement(op.getPositions(), first),
          loadElement(op.getPositions(), last)};
}

AttentionTiles::Run AttentionTiles::oneRow(Value number, Value unit) {
  Value row = rowAt(number, firstHeadOf(unit));
  Value position = loadElement(op.getPositions(), row);
  return {number,   i32(1),  unit, loadElement(op.getSlots(), row),
          position, position};
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

/// The first tile of a block of the list that the run sees something of, from
/// element `place` on; an empty one if there is none.
AttentionTiles::Tile AttentionTiles::seek(const Run &run, Value place,
                                          Range seen, Range listed) {
  if (!hasBlocks())
    return {place, seen.from, seen.to};
  Type type = b.getI32Type();
  auto search = scf::WhileOp::create(
      b, TypeRange{type, type, type}, ValueRange{place},
      [&](OpBuilder &, Location, ValueRange at) {
        Range none{i32(0), i32(0)};
        Value isListed = less(at[0], listed.to);
        ValueRange found =
            ifThen(isListed, ValueRange{none.from, none.to}, [&] {
              Range range = listedRange(rowOfLine(run, i32(0)),
                                        kvHeadOf(run.unit), at[0], seen);
              return SmallVector<Value>{range.from, range.to};
            });
        Value isEmpty = compare(arith::CmpIPredicate::sge, found[0], found[1]);
        scf::ConditionOp::create(b, both(isListed, isEmpty),
                                 ValueRange{at[0], found[0], found[1]});
      },
      [&](OpBuilder &, Location, ValueRange at) {
        scf::YieldOp::create(b, ValueRange{add(at[0], 1)});
      });
  return {search.getResult(0), search.getResult(1), search.getResult(2)};
}

AttentionTiles::Tile AttentionTiles::next(const Run &run, const Tile &tile,
                                          Range seen, Range listed) {
  Value from = add(tile.from, keys);
  if (!hasBlocks())
    return {tile.place, from, tile.to};
  ValueRange found =
      ifThen(compare(arith::CmpIPredicate::sge, from, tile.to),
             ValueRange{tile.place, from, tile.to}, [&] {
               Tile other = seek(run, add(tile.place, 1), seen, listed);
               return SmallVector<Value>{other.place, other.from, other.to};
             });
  return {found[0], found[1], found[2]};
}

/// Builds `body` for each row and piece of 8 columns of a tile that the thread
/// copies: threads beside each other take pieces beside each other.
void AttentionTiles::forEachPiece(int64_t rows,
                                  llvm::function_ref<void(Value, Value)> body) {
  int64_t count = rows * pieces();
  for (int64_t begin = 0; begin < count; begin += shell.threads) {
    Value each = add(thread(), begin);
    auto emit = [&] { body(div(each, pieces()), rem(each, pieces())); };
    if (begin + shell.threads <= count)
      emit();
    else
      ifThen(less(each, i32(count)), emit);
  }
}

/// Queries of the run's lines, in the caches' type; zeros behind them.
void AttentionTiles::loadQueries(const Run &run) {
  Type stored = VectorType::get(8, getElementTypeOrSelf(op.getQuery()));
  Type type = VectorType::get(8, getElementTypeOrSelf(op.getKeys()));
  Value none = zero(type), count = linesOf(run);
  int64_t bytes = bytesOf(op.getQuery());
  forEachPiece(lines, [&](Value line, Value piece) {
    Value column = mul(piece, 8);
    Value isThere = less(line, count);
    if (headDim % 16)
      isThere = both(isThere, less(column, i32(headDim)));
    Value query = ifThen(isThere, none, [&] {
      Value head = add(firstHeadOf(run.unit), rem(line, headsOfUnit()));
      Value from =
          at(argumentOf(op.getQuery()), getElementTypeOrSelf(op.getQuery()),
             rowOfLine(run, line), i32(queryHeads * headDim),
             add(mul(head, headDim), column));
      return SmallVector<Value>{
          convert(load(stored, from, std::min<int64_t>(8 * bytes, 16)), type)};
    })[0];
    store(query, at(queryTile.address, add(mul(line, pitch()), mul(piece, 16))),
          16);
  });
}

void AttentionTiles::copyTile(Value cache, const Run &run, const Tile &tile,
                              PaddedTile destination) {
  Value first = cacheAt(cache, run.slot, tile.from, kvHeadOf(run.unit));
  Value count = sub(tile.to, tile.from);
  int64_t rowBytes = kvHeads * headDim * bytesOf(cache);
  forEachPiece(keys, [&](Value row, Value piece) {
    Value isThere = less(row, count);
    if (headDim % 16)
      isThere = both(isThere, less(piece, i32(headDim / 8)));
    Value from = at(first, add(mul(row, rowBytes), mul(piece, 16)));
    Value to = at(destination.address,
                  add(mul(row, destination.pitch), mul(piece, 16)));
    // Zeros are written for what is not read.
    NVVM::CpAsyncOp::create(
        b, to, from, b.getI32IntegerAttr(16),
        NVVM::LoadCacheModifierKindAttr::get(b.getContext(),
                                             NVVM::LoadCacheModifierKind::CG),
        select(isThere, i32(16), i32(0)));
  });
  NVVM::CpAsyncCommitGroupOp::create(b);
}

/// What this thread has copied is there, and what the others have: all have
/// come here.
void AttentionTiles::waitForCopies() {
  NVVM::CpAsyncWaitGroupOp::create(b, b.getI32IntegerAttr(0));
  barrier();
}

//===----------------------------------------------------------------------===//
// Scores and sums
//===----------------------------------------------------------------------===//

SmallVector<Value> AttentionTiles::flatten(const State &state) {
  SmallVector<Value> values(state.largest);
  llvm::append_range(values, state.total);
  llvm::append_range(values, state.sums);
  return values;
}

AttentionTiles::State AttentionTiles::restore(ValueRange values) {
  return {llvm::to_vector(values.take_front(2)),
          llvm::to_vector(values.slice(2, 2)),
          llvm::to_vector(values.drop_front(4))};
}

/// Products of the warp's lines and the keys of the tile: fragments of 8 keys.
SmallVector<Value> AttentionTiles::multiplyKeys() {
  SmallVector<Value> scores(keys / 8 * 4, f32(0));
  Value firstLine = mul(warp(), 16);
  for (int64_t piece = 0; piece < pieces(); piece += 2) {
    SmallVector<Value> left = matrices.loadLeft(queryTile, firstLine, piece);
    for (int64_t key = 0; key < keys; key += 16) {
      SmallVector<Value> right = matrices.loadRight(keyTile, i32(key), piece);
      for (int64_t i = 0; i < 2; ++i)
        matrices.multiply(left, ValueRange(right).slice(2 * i, 2),
                          MutableArrayRef(scores).slice((key / 8 + i) * 4, 4));
    }
  }
  return scores;
}

/// -inf for what a line does not see. Most tiles are seen by all lines.
SmallVector<Value> AttentionTiles::maskScores(const Run &run, const Tile &tile,
                                              ArrayRef<Value> positions,
                                              ValueRange scores) {
  Value end = add(tile.from, keys);
  Value isPartial = arith::OrIOp::create(b, less(tile.to, end),
                                         less(run.position, sub(end, i32(1))));
  if (op.getWindow())
    isPartial = arith::OrIOp::create(b, isPartial,
                                     less(tile.from, seenFrom(run.last).from));
  return llvm::to_vector(ifThen(isPartial, scores, [&] {
    SmallVector<Value> masked;
    Value column = add(tile.from, mul(rem(lane(), 4), 2));
    Range seen[2];
    for (int64_t half = 0; half < 2; ++half) {
      seen[half] = seenFrom(positions[half]);
      seen[half].to = min(seen[half].to, tile.to);
    }
    for (auto [i, score] : llvm::enumerate(scores)) {
      Value key = add(column, i / 4 * 8 + i % 2);
      const Range &range = seen[i % 4 / 2];
      Value isSeen = less(key, range.to);
      if (op.getWindow())
        isSeen =
            both(isSeen, compare(arith::CmpIPredicate::sge, key, range.from));
      masked.push_back(select(isSeen, score, minusInfinity()));
    }
    return masked;
  }));
}

/// The online softmax of a tile, and its values.
AttentionTiles::State AttentionTiles::addTile(const State &state,
                                              SmallVector<Value> scores) {
  State result = state;
  for (int64_t half = 0; half < 2; ++half) {
    auto isOfHalf = [&](size_t i) { return int64_t(i % 4 / 2) == half; };
    Value largest = state.largest[half];
    for (auto [i, score] : llvm::enumerate(scores))
      if (isOfHalf(i))
        largest = larger(largest, score);
    largest =
        reduceLanes(largest, 4, [&](Value x, Value y) { return larger(x, y); });
    Value reference = referenceOf(largest);
    Value shrink = exp2(mulF(subF(state.largest[half], reference), f32(scale)));
    Value offset = mulF(reference, f32(-scale));
    Value total = mulF(state.total[half], shrink);
    for (auto [i, score] : llvm::enumerate(scores))
      if (isOfHalf(i)) {
        score = exp2(fma(score, f32(scale), offset));
        total = addF(total, score);
      }
    for (auto [i, sum] : llvm::enumerate(result.sums))
      if (isOfHalf(i))
        sum = mulF(sum, shrink);
    result.largest[half] = largest;
    result.total[half] = total;
  }
  for (int64_t key = 0; key < keys; key += 16) {
    ArrayRef<Value> weights = ArrayRef(scores).slice(key / 8 * 4, 8);
    SmallVector<Value> left =
        matrices.pack(weights.take_front(4), weights.drop_front(4));
    for (int64_t piece = 0; piece < pieces(); piece += 2) {
      SmallVector<Value> right =
          matrices.loadRightTransposed(valueTile, i32(key), piece);
      for (int64_t i = 0; i < 2 && (piece + i) * 8 < headDim; ++i)
        matrices.multiply(
            left, ValueRange(right).slice(2 * i, 2),
            MutableArrayRef(result.sums).slice((piece + i) * 4, 4));
    }
  }
  return result;
}

AttentionTiles::State AttentionTiles::attend(const Run &run, Range seen,
                                             Range listed) {
  SmallVector<Value> positions;
  for (int64_t half = 0; half < 2; ++half) {
    Value line = min(lineOfLane(half), sub(linesOf(run), i32(1)));
    positions.push_back(loadElement(op.getPositions(), rowOfLine(run, line)));
  }
  Value isBusy = less(mul(warp(), 16), linesOf(run));
  auto isThere = [&](const Tile &tile) { return less(tile.from, tile.to); };
  Tile first = seek(run, listed.from, seen, listed);
  ifThen(isThere(first), [&] { copyTile(op.getKeys(), run, first, keyTile); });
  loadQueries(run);

  State none{SmallVector<Value>(2, minusInfinity()),
             SmallVector<Value>(2, f32(0)),
             SmallVector<Value>(headDim / 8 * 4, f32(0))};
  SmallVector<Value> initial{first.place, first.from, first.to};
  llvm::append_range(initial, flatten(none));
  auto walk = scf::WhileOp::create(
      b, TypeRange(ValueRange(initial)), initial,
      [&](OpBuilder &, Location, ValueRange carried) {
        scf::ConditionOp::create(b, less(carried[1], carried[2]), carried);
      },
      [&](OpBuilder &, Location, ValueRange carried) {
        Tile tile{carried[0], carried[1], carried[2]};
        ValueRange state = carried.drop_front(3);
        waitForCopies(); // keys are there, and the last values are done with
        copyTile(op.getValues(), run, tile, valueTile);
        ValueRange scores =
            ifThen(isBusy, SmallVector<Value>(keys / 8 * 4, f32(0)),
                   [&] { return multiplyKeys(); });
        Tile after = next(run, tile, seen, listed);
        waitForCopies(); // values are there, and the keys are done with
        ifThen(isThere(after),
               [&] { copyTile(op.getKeys(), run, after, keyTile); });
        ValueRange added = ifThen(isBusy, state, [&] {
          return flatten(addTile(restore(state),
                                 maskScores(run, tile, positions, scores)));
        });
        SmallVector<Value> values{after.place, after.from, after.to};
        llvm::append_range(values, added);
        scf::YieldOp::create(b, values);
      });
  State state = restore(walk.getResults().drop_front(3));
  for (Value &total : state.total)
    total = reduceLanes(total, 4, [&](Value x, Value y) { return addF(x, y); });
  return state;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

void AttentionTiles::storeLine(const Run &run, const State &state,
                               int64_t half) {
  Type element = getElementTypeOrSelf(op.getResult());
  Value line = lineOfLane(half), share = shareOf(state.total[half]);
  Value head = add(firstHeadOf(run.unit), rem(line, headsOfUnit()));
  Value column = add(mul(head, headDim), mul(rem(lane(), 4), 2));
  Value to = at(shell.arguments.back(), element, rowOfLine(run, line),
                i32(queryHeads * headDim), column);
  int64_t bytes = bytesOf(op.getResult());
  for (int64_t piece = 0; piece < headDim / 8; ++piece) {
    const Value *sums = &state.sums[piece * 4 + 2 * half];
    Value pair = vector::FromElementsOp::create(
        b, VectorType::get(2, b.getF32Type()),
        ValueRange{mulF(sums[0], share), mulF(sums[1], share)});
    store(convert(pair, element), at(to, piece * 8 * bytes), 2 * bytes);
  }
}

void AttentionTiles::storeResult(const Run &run, const State &state) {
  Value isDoubtful = zero(b.getI1Type());
  for (int64_t half = 0; half < 2; ++half) {
    Value isLine = less(lineOfLane(half), linesOf(run));
    ifThen(isLine, [&] { storeLine(run, state, half); });
    Value any = f32(0); // NaN if a sum is
    for (auto [i, sum] : llvm::enumerate(state.sums))
      if (int64_t(i % 4 / 2) == half)
        any = larger(any, sum);
    Value isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, any, any);
    isDoubtful = arith::OrIOp::create(b, isDoubtful, both(isLine, isNaN));
  }
  // A single row sees all that there is in its tiles.
  isDoubtful = both(isDoubtful, less(i32(1), run.count));
  Value votes = NVVM::VoteSyncOp::create(b, b.getI32Type(), i32(-1), isDoubtful,
                                         NVVM::VoteSyncKind::ballot);
  ifThen(compare(arith::CmpIPredicate::ne, votes, i32(0)),
         [&] { storeAgain(run); });
}

void AttentionTiles::storePartial(const Run &run, const State &state,
                                  Value chunk, int64_t chunks) {
  constexpr int64_t kBytes = sizeof(float);
  for (int64_t half = 0; half < 2; ++half) {
    Value line = lineOfLane(half);
    ifThen(less(line, linesOf(run)), [&] {
      Value partial = partialAt(run.number, add(firstHeadOf(run.unit), line),
                                chunk, chunks);
      Value to = at(partial, mul(rem(lane(), 4), 2 * kBytes));
      for (int64_t piece = 0; piece < headDim / 8; ++piece) {
        const Value *sums = &state.sums[piece * 4 + 2 * half];
        store(vector::FromElementsOp::create(b,
                                             VectorType::get(2, b.getF32Type()),
                                             ValueRange{sums[0], sums[1]}),
              at(to, piece * 8 * kBytes), 2 * kBytes);
      }
      ifThen(equal(rem(lane(), 4), i32(0)), [&] {
        store(mulF(state.largest[half], f32(scale)),
              at(partial, largestInPartial() * kBytes));
        store(state.total[half], at(partial, totalInPartial() * kBytes));
      });
    });
  }
}

/// The lines of the warp, each by itself.
void AttentionTiles::storeAgain(const Run &run) {
  NVVM::SyncWarpOp::create(b, i32(-1)); // the results are stored again
  Value first = mul(warp(), 16);
  loop(first, min(add(first, 16), linesOf(run)), 1, [&](Value line) {
    Value head = add(firstHeadOf(run.unit), rem(line, headsOfUnit()));
    AttentionRow::Place place = exact.placeOf(rowOfLine(run, line), head);
    exact.storeResult(place, exact.attend(place));
  });
}

} // namespace coppice::nvptx
