//===- AttentionRow.cpp - a warp attends for a row and a head -------------===//

#include "AttentionRow.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace coppice::nvptx {

/// Values of how many positions are loaded before the first is used.
static constexpr int64_t kAtOnce = 4;

AttentionRow::AttentionRow(ImplicitLocOpBuilder &b, KernelShell &shell,
                           decoder::AttentionOp op)
    : AttentionBuilder(b, shell, op), keys(32) {
  if (IntegerAttr size = op.getDropSizeAttr())
    keys = size.getInt();
  // As many columns as give each lane one load of a value, if 16 bytes and the
  // head's size allow it.
  int64_t most =
      std::min<int64_t>(16 / bytesOf(op.getValues()), headDim & -headDim);
  for (width = 1; width < most && width * 32 < headDim;)
    width *= 2;
}

Value AttentionRow::splat(Value value) {
  Type type = columns(value.getType());
  return width == 1 ? value
                    : vector::BroadcastOp::create(b, type, value).getResult();
}

/// Builds `body` for each chunk of columns of the lane: its number among them,
/// and its first column. `body` must be for columns of the head only: in the
/// last round there may be fewer chunks than lanes.
void AttentionRow::forEachChunk(llvm::function_ref<void(int64_t, Value)> body) {
  for (int64_t i = 0; i < chunksOfLane(); ++i) {
    Value chunk = add(lane(), 32 * i);
    auto emit = [&] { body(i, mul(chunk, width)); };
    if (32 * (i + 1) <= chunks())
      emit();
    else
      ifThen(less(chunk, i32(chunks())), emit);
  }
}

AttentionRow::Place AttentionRow::placeOf(Value row, Value head) {
  Value slot = loadElement(op.getSlots(), row);
  Value position = loadElement(op.getPositions(), row);
  return {row, head, slot, position, seenFrom(position)};
}

SmallVector<Value> AttentionRow::flatten(const State &state) {
  SmallVector<Value> values{state.largest, state.total};
  llvm::append_range(values, state.sums);
  return values;
}

AttentionRow::State AttentionRow::restore(ValueRange values) {
  return {values[0], values[1], llvm::to_vector(values.drop_front(2))};
}

/// Every lane will need all of the query: it goes to shared memory, in f32.
void AttentionRow::loadQuery(const Place &place) {
  NVVM::SyncWarpOp::create(b, i32(-1)); // the last one has been read
  loop(lane(), i32(headDim), 32, [&](Value column) {
    Value element = loadElement(
        op.getQuery(), {place.row, add(mul(place.head, headDim), column)});
    store(element, at(queries, mul(column, sizeof(float))));
  });
  NVVM::SyncWarpOp::create(b, i32(-1));
}

AttentionRow::State AttentionRow::attend(const Place &place, Range listed) {
  auto ofWarp = [&](int64_t numbers) {
    int64_t pitch = llvm::alignTo(numbers, 4) * int64_t(sizeof(float));
    return at(allocateShared(shell.threads / 32 * pitch), mul(warp(), pitch));
  };
  queries = ofWarp(headDim);
  scores = ofWarp(keys);
  loadQuery(place);
  State none{minusInfinity(), f32(0), {}};
  for (int64_t i = 0; i < chunksOfLane(); ++i)
    none.sums.push_back(zero(columns(b.getF32Type())));
  if (!hasBlocks())
    return attendRange(place, none, place.seen);
  return restore(
      loop(listed.from, listed.to, i32(1), flatten(none),
           [&](Value each, ValueRange carried) {
             Range part = listedRange(place.row, div(place.head, group), each,
                                      place.seen);
             return flatten(attendRange(place, restore(carried), part));
           }));
}

AttentionRow::State AttentionRow::attendRange(const Place &place, State state,
                                              Range range) {
  // What is dropped together begins at multiples of its size.
  Value first = range.from;
  if (drops())
    first = mul(div(first, keys), keys);
  // A range without positions may lie anywhere.
  Value end = select(less(range.from, range.to), range.to, first);
  return restore(loop(
      first, end, i32(keys), flatten(state), [&](Value at, ValueRange carried) {
        return flatten(attendPiece(place, restore(carried), at, range));
      }));
}

/// The score of the lane's position, of 32 from `first` on; -inf outside
/// `range`.
Value AttentionRow::scoreOf(const Place &place, Value first, Range range) {
  int64_t width =
      std::min<int64_t>(16 / bytesOf(op.getKeys()), headDim & -headDim);
  Type f32Type = b.getF32Type(), stored = getElementTypeOrSelf(op.getKeys());
  if (width > 1) {
    f32Type = VectorType::get(width, f32Type);
    stored = VectorType::get(width, stored);
  }
  Value position = add(first, lane());
  // Lanes without a position go along with one that there is.
  Value address = cacheAt(op.getKeys(), place.slot,
                          max(min(position, sub(range.to, i32(1))), range.from),
                          div(place.head, group));
  int64_t bytes = width * bytesOf(op.getKeys()), chunks = headDim / width;
  int64_t atOnce = chunks % 4 == 0 ? 4 : chunks % 2 == 0 ? 2 : 1;
  Value dot =
      loop(i32(0), i32(chunks), i32(atOnce), f32(0),
           [&](Value chunk, ValueRange carried) {
             Value sum = carried[0];
             for (int64_t u = 0; u < atOnce; ++u) {
               Value each = add(chunk, u);
               Value query =
                   load(f32Type, at(queries, mul(each, width * sizeof(float))),
                        std::min<int64_t>(width * sizeof(float), 16));
               Value key = convert(
                   load(stored, at(address, mul(each, bytes)), bytes), f32Type);
               for (int64_t c = 0; c < width; ++c) {
                 auto element = [&](Value vector) -> Value {
                   return width == 1 ? vector
                                     : vector::ExtractOp::create(b, vector, c);
                 };
                 sum = fma(element(query), element(key), sum);
               }
             }
             return SmallVector<Value>{sum};
           })[0];
  Value isSeen = both(compare(arith::CmpIPredicate::sge, position, range.from),
                      less(position, range.to));
  return select(isSeen, mulF(dot, f32(scale)), minusInfinity());
}

/// Attends to the positions of `range` among `keys` from `first` on.
AttentionRow::State AttentionRow::attendPiece(const Place &place,
                                              const State &state, Value first,
                                              Range range) {
  // A lane reads the scores that it wrote, and no other.
  auto scoreAt = [&](Value offset) {
    return at(scores, mul(add(offset, lane()), sizeof(float)));
  };
  Range part{i32(0), i32(32)};
  if (keys > 32) // only the pieces that are in the range
    part = {mul(div(max(sub(range.from, first), i32(0)), 32), 32),
            min(sub(range.to, first), i32(keys))};
  Value best = loop(part.from, part.to, i32(32), minusInfinity(),
                    [&](Value offset, ValueRange carried) {
                      Value score = scoreOf(place, add(first, offset), range);
                      store(score, scoreAt(offset));
                      return SmallVector<Value>{larger(carried[0], score)};
                    })[0];
  best = reduceLanes(best, 32, [&](Value x, Value y) { return larger(x, y); });
  Value largest = larger(state.largest, best);

  auto weigh = [&] {
    Value reference = referenceOf(largest);
    Value shrink = exp2(subF(state.largest, reference));
    State next{largest, mulF(state.total, shrink), {}};
    for (Value sum : state.sums)
      next.sums.push_back(mulF(sum, splat(shrink)));
    return llvm::to_vector(
        loop(part.from, part.to, i32(32), flatten(next),
             [&](Value offset, ValueRange carried) {
               Value weight =
                   exp2(subF(load(b.getF32Type(), scoreAt(offset)), reference));
               return flatten(addValues(place, restore(carried), weight,
                                        add(first, offset), range));
             }));
  };
  if (!drops())
    return restore(weigh());
  auto least =
      static_cast<float>(std::log2(op.getDropBelowAttr().getValueAsDouble()));
  // NaN is not low.
  Value isHigh = arith::CmpFOp::create(b, arith::CmpFPredicate::UGE, best,
                                       addF(largest, f32(least)));
  Value isOwn = equal(div(first, keys), div(place.position, keys));
  Value isKept = arith::OrIOp::create(b, isHigh, isOwn);
  // What is dropped has not changed the largest score.
  return restore(ifThen(isKept, flatten(state), weigh));
}

/// Adds the values of the positions of `range` among 32 from `first` on, of
/// which each lane has a weight. What lies elsewhere may be anything, and zero
/// times NaN is NaN.
AttentionRow::State AttentionRow::addValues(const Place &place, State state,
                                            Value weight, Value first,
                                            Range range) {
  state.total = addF(state.total, weight);
  Type f32Type = columns(b.getF32Type());
  Type stored = columns(getElementTypeOrSelf(op.getValues()));
  int64_t bytes = width * bytesOf(op.getValues());
  Value kvHead = div(place.head, group);
  Value from = max(first, range.from), to = min(add(first, 32), range.to);
  auto sums = loop(
      from, to, i32(kAtOnce), state.sums,
      [&](Value position, ValueRange carried) {
        SmallVector<Value> next(carried);
        SmallVector<Value> addresses, shares;
        for (int64_t u = 0; u < kAtOnce; ++u) {
          // Positions past the end give way to the last one, and are not used.
          Value each = min(add(position, u), sub(to, i32(1)));
          shares.push_back(splat(fromLane(weight, sub(each, first))));
          addresses.push_back(
              cacheAt(op.getValues(), place.slot, each, kvHead));
        }
        for (int64_t i = 0; i < chunksOfLane(); ++i) {
          // Lanes without a column of the head take its first ones.
          Value chunk = add(lane(), 32 * i);
          if (32 * (i + 1) > chunks())
            chunk = select(less(chunk, i32(chunks())), chunk, i32(0));
          SmallVector<Value> values;
          for (Value address : addresses)
            values.push_back(
                load(stored, at(address, mul(chunk, bytes)), bytes));
          for (auto [u, value] : llvm::enumerate(values)) {
            Value sum = fma(shares[u], convert(value, f32Type), next[i]);
            next[i] =
                u == 0 ? sum : select(less(add(position, u), to), sum, next[i]);
          }
        }
        return next;
      });
  state.sums.assign(sums.begin(), sums.end());
  return state;
}

void AttentionRow::storePartial(const State &state, Value partial) {
  Value total = sumOfWarp(state.total);
  int64_t bytes = width * int64_t(sizeof(float));
  forEachChunk([&](int64_t i, Value column) {
    store(state.sums[i], at(partial, mul(column, sizeof(float))),
          std::min<int64_t>(bytes, 16));
  });
  ifThen(equal(lane(), i32(0)), [&] {
    store(state.largest,
          at(partial, largestInPartial() * int64_t(sizeof(float))));
    store(total, at(partial, totalInPartial() * int64_t(sizeof(float))));
  });
}

AttentionRow::State AttentionRow::merge(Value partials, Value count,
                                        int64_t chunks) {
  assert(chunks <= 32 && "a lane has one");
  int64_t pitch = partialWidth(headDim) * int64_t(sizeof(float));
  int64_t bytes = width * int64_t(sizeof(float));
  // A lane knows how much one of them weighs.
  ValueRange ofLane =
      ifThen(less(lane(), count), ValueRange{minusInfinity(), f32(0)}, [&] {
        Value partial = at(partials, mul(lane(), pitch));
        auto number = [&](int64_t place) {
          return load(b.getF32Type(),
                      at(partial, place * int64_t(sizeof(float))));
        };
        return SmallVector<Value>{number(largestInPartial()),
                                  number(totalInPartial())};
      });
  Value largest = reduceLanes(ofLane[0], 32,
                              [&](Value x, Value y) { return larger(x, y); });
  Value weight = exp2(subF(ofLane[0], referenceOf(largest)));
  State state{largest, mulF(ofLane[1], weight), {}};
  SmallVector<Value> none(chunksOfLane(), zero(columns(b.getF32Type())));
  auto sums =
      loop(i32(0), count, i32(1), none, [&](Value chunk, ValueRange carried) {
        Value share = splat(fromLane(weight, chunk));
        SmallVector<Value> next;
        for (int64_t i = 0; i < chunksOfLane(); ++i) {
          // Lanes without a column of the head take its first ones.
          Value each = add(lane(), 32 * i);
          if (32 * (i + 1) > this->chunks())
            each = select(less(each, i32(this->chunks())), each, i32(0));
          Value sum =
              load(columns(b.getF32Type()),
                   at(partials, add(mul(chunk, pitch), mul(each, bytes))),
                   std::min<int64_t>(bytes, 16));
          next.push_back(fma(share, sum, carried[i]));
        }
        return next;
      });
  state.sums.assign(sums.begin(), sums.end());
  return state;
}

void AttentionRow::storeResult(const Place &place, const State &state) {
  Value share = splat(shareOf(sumOfWarp(state.total)));
  Type stored = columns(getElementTypeOrSelf(op.getResult()));
  int64_t bytes = width * bytesOf(op.getResult());
  forEachChunk([&](int64_t i, Value column) {
    Value value = convert(mulF(state.sums[i], share), stored);
    store(value,
          at(shell.arguments.back(), getElementTypeOrSelf(op.getResult()),
             place.row, i32(queryHeads * headDim),
             add(mul(place.head, headDim), column)),
          std::min<int64_t>(bytes, 16));
  });
}

} // namespace coppice::nvptx
