//===- BlockScores.cpp - scores of blocks of keys, on a GPU ---------------===//

#include "BlockScores.h"
#include "llvm/ADT/bit.h"
#include <limits>

using namespace mlir;

namespace coppice::nvptx {

BlockScores::BlockScores(ImplicitLocOpBuilder &b, KernelShell &shell,
                         prune::SelectBlocksOp op)
    : KernelBuilder(b, shell), op(op),
      keyType(getElementTypeOrSelf(op.getKeys())),
      size(static_cast<int64_t>(op.getBlockSize())), rank(op.getScorerRank()),
      kvHeads(op.getKvHeads()), headDim(op.getHeadDimAttr().getInt()),
      width(cast<ShapedType>(op.getQuery().getType()).getDimSize(1) / kvHeads),
      // Three sums at once take registers.
      access(elementsOfAccess(
          headDim, rank ? Type(Float32Type::get(b.getContext())) : keyType)),
      across(static_cast<int64_t>(llvm::bit_floor(
          static_cast<uint64_t>(std::min<int64_t>(32, headDim / access))))),
      beside(32 / across) {}

int64_t BlockScores::queryBytes() const { return 4 * headDim * (rank ? 3 : 1); }

/// Builds `body` around each of `count` numbers that is this thread's.
void BlockScores::forThreads(int64_t count,
                             llvm::function_ref<void(Value)> body) {
  loop(thread(), i32(count), shell.threads, body);
}

void BlockScores::makeQuery(Value row, Value kvHead, Value query,
                            Value scratch) {
  Value first = mul(kvHead, width);
  auto queryOf = [&](Value column) {
    return loadElement(op.getQuery(), {row, add(first, column)});
  };
  if (!rank) {
    forThreads(headDim, [&](Value d) {
      Value sum = queryOf(d);
      for (int64_t head = headDim; head < width; head += headDim)
        sum = addF(sum, queryOf(add(d, head)));
      store(sum, at(query, mul(d, 4)));
    });
    barrier();
    return;
  }
  // U q, a warp a row of U, then V^T of it, a thread a column of V.
  Value line = mul(kvHead, rank);
  loop(warp(), i32(rank), shell.threads / 32, [&](Value i) {
    Value sum = loop(
        lane(), i32(width), i32(32), f32(0),
        [&](Value column, ValueRange carried) -> SmallVector<Value> {
          return {fma(loadElement(op.getQueryWeight(), {add(line, i), column}),
                      queryOf(column), carried[0])};
        })[0];
    sum = sumOfWarp(sum);
    ifThen(equal(lane(), i32(0)), [&] { store(sum, at(scratch, mul(i, 4))); });
  });
  barrier();
  forThreads(3 * headDim, [&](Value column) {
    Value sum =
        loop(i32(0), i32(rank), i32(1), f32(0),
             [&](Value i, ValueRange carried) -> SmallVector<Value> {
               return {fma(
                   loadElement(op.getKeyWeight(), {add(line, i), column}),
                   load(b.getF32Type(), at(scratch, mul(i, 4))), carried[0])};
             })[0];
    store(sum, at(query, mul(column, 4)));
  });
  barrier();
}

/// The lane's part of a key: `first` is where it is of the block's first one.
Value BlockScores::loadKeys(Value first, Value position) {
  int64_t pitch = kvHeads * headDim * keyType.getIntOrFloatBitWidth() / 8;
  return loadFloats(keyType, at(first, mul(position, pitch)), access);
}

Value BlockScores::queryAt(Value query, Value vector, int64_t part) {
  return loadFloats(b.getF32Type(),
                    at(query, add(mul(vector, 4 * access), 4 * part * headDim)),
                    access);
}

Value BlockScores::vectors(float value) { return splat(f32(value), access); }

/// The sum over the lane's positions of the products of `query` with part
/// number `vector` of the keys.
Value BlockScores::dot(Value first, Value query, Value vector) {
  Value factor = queryAt(query, vector, 0);
  // Two loads at a time, where the positions divide evenly.
  int64_t unroll = size % (2 * beside) == 0 ? 2 : 1;
  Value products =
      loop(div(lane(), across), i32(size), i32(beside * unroll), vectors(0),
           [&](Value position, ValueRange carried) -> SmallVector<Value> {
             SmallVector<Value> keys;
             for (int64_t i = 0; i < unroll; ++i)
               keys.push_back(loadKeys(first, add(position, i * beside)));
             Value sum = carried[0];
             for (Value key : keys)
               sum = fma(key, factor, sum);
             return {sum};
           })[0];
  Value sum = elementOf(products, 0);
  for (int64_t i = 1; i < access; ++i)
    sum = addF(sum, elementOf(products, i));
  return sum;
}

/// The same of what the keys of all lanes are pooled to; 0 in all but the first
/// of the lanes that have the same part of a key.
Value BlockScores::dotOfPooled(Value first, Value query, Value vector) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  auto most = [&](Value x, Value y) -> Value {
    return arith::MaximumFOp::create(b, x, y);
  };
  auto least = [&](Value x, Value y) -> Value {
    return arith::MinimumFOp::create(b, x, y);
  };
  auto sumOf = [&](Value x, Value y) { return addF(x, y); };
  SmallVector<Value> none{vectors(0), vectors(-infinity), vectors(infinity)};
  SmallVector<Value> pools(
      loop(div(lane(), across), i32(size), i32(beside), none,
           [&](Value position, ValueRange carried) -> SmallVector<Value> {
             Value key = loadKeys(first, position);
             return {sumOf(carried[0], key), most(carried[1], key),
                     least(carried[2], key)};
           }));
  SmallVector<llvm::function_ref<Value(Value, Value)>> combine{sumOf, most,
                                                               least};
  Value sum = f32(0);
  for (auto [part, pool] : llvm::enumerate(pools)) {
    Value factors = queryAt(query, vector, static_cast<int64_t>(part));
    for (int64_t i = 0; i < access; ++i) {
      Value each = elementOf(pool, i);
      for (int64_t mask = across; mask < 32; mask *= 2)
        each = combine[part](each, exchange(each, mask));
      if (part == 0)
        each = mulF(each, f32(1 / static_cast<float>(size)));
      sum = fma(each, elementOf(factors, i), sum);
    }
  }
  return select(less(lane(), i32(across)), sum, f32(0));
}

Value BlockScores::score(Value slot, Value kvHead, Value block, Value query) {
  int64_t vectorsOfKey = headDim / access;
  Value sum = f32(0);
  for (int64_t from = 0; from < vectorsOfKey; from += across) {
    Value vector = add(rem(lane(), across), from);
    // A lane behind the end of a key does what the first one does, for all
    // lanes have to come to the exchanges, and does not count.
    bool isWhole = from + across <= vectorsOfKey;
    Value isThere = isWhole ? Value() : less(vector, i32(vectorsOfKey));
    if (!isWhole)
      vector = select(isThere, vector, i32(0));
    Value first = addressOf(op.getKeys(),
                            {slot, mul(block, size),
                             add(mul(kvHead, headDim), mul(vector, access))});
    Value part =
        rank ? dotOfPooled(first, query, vector) : dot(first, query, vector);
    sum = addF(sum, isWhole ? part : select(isThere, part, f32(0)));
  }
  return sumOfWarp(sum);
}

} // namespace coppice::nvptx
