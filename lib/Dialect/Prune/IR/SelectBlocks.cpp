// prune.select_blocks: its rules, and what it means spelled out in linalg.
//
// Of each row, the leader is the first row of those that choose together with
// it. Without `top` the blocks follow from the leader's position. With it, all
// is a table by row, KV head and block: scores; how many of the others are
// ahead of a block; whether it is chosen; and how many chosen ones are before
// it, which is its place in the list. Tables have room for as many blocks as
// there are positions, for that is an extent which has a name.
#include "coppice/Dialect/LinalgSteps.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <array>
#include <limits>

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

//===----------------------------------------------------------------------===//
// Verifiers
//===----------------------------------------------------------------------===//

/// The counts of blocks that a plan or an op chooses.
static LogicalResult verifyCounts(Operation *op, int64_t size, int64_t recent,
                                  int64_t first, int64_t top) {
  // Kernels keep what they choose on the stack, and products of these numbers
  // are not to overflow.
  constexpr int64_t kMostBlocks = 4096, kMostPositions = 1 << 20;
  auto require = [&](StringRef what, int64_t found, int64_t least,
                     int64_t most) -> LogicalResult {
    if (found >= least && found <= most)
      return success();
    return op->emitOpError() << "expected " << what << " from " << least
                             << " to " << most << ", found " << found;
  };
  return success(
      succeeded(require("a block size", size, 1, kMostPositions)) &&
      succeeded(require("a number of last blocks", recent, 1, kMostBlocks)) &&
      succeeded(require("a number of first blocks", first, 0, kMostBlocks)) &&
      succeeded(require("a number of top blocks", top, 0, kMostBlocks)));
}

LogicalResult BlocksOp::verify() {
  auto size = static_cast<int64_t>(getBlockSize());
  if (size < 1 || size % 16)
    return emitOpError() << "expected blocks of a positive multiple of 16 "
                            "positions, found "
                         << size;
  auto top = static_cast<int64_t>(getTop());
  if (getScorerAttr() && top == 0)
    return emitOpError() << "expected a scorer beside 'top(K)', which is what "
                            "it chooses, found no such blocks";
  if (auto rank = getScorerAttr();
      rank && (rank.getInt() < 1 || rank.getInt() > 4096))
    return emitOpError() << "expected a scorer of rank 1 to 4096, found "
                         << rank.getInt();
  if (getFile() && !getScorerAttr())
    return emitOpError() << "expected a file of the weights of a 'scorer(R)', "
                            "found no scorer";
  if (getThreshold()) {
    double threshold = getThreshold()->convertToDouble();
    if (!(threshold > 0 && threshold < 1))
      return emitOpError() << "expected a threshold between 0 and 1, found "
                           << threshold;
    if (size % 32 || size > 256)
      return emitOpError() << "expected a threshold of blocks of a multiple of "
                              "32 positions up to 256, found "
                           << size;
  }
  return verifyCounts(*this, size, getLastBlocks(),
                      static_cast<int64_t>(getFirst()), top);
}

/// Whoever attends by the lists must count blocks as they do.
static LogicalResult verifyReaders(SelectBlocksOp op) {
  for (Operation *user : op->getUsers()) {
    auto size = dyn_cast_or_null<IntegerAttr>(
        user->getInherentAttr("block_size").value_or(nullptr));
    if (user->getName().getStringRef() != "decoder.attention" || !size ||
        size.getInt() == static_cast<int64_t>(op.getBlockSize()))
      continue;
    InFlightDiagnostic diagnostic =
        op.emitOpError() << "expected to be read as lists of blocks of "
                         << op.getBlockSize() << " positions, found blocks of "
                         << size.getInt();
    diagnostic.attachNote(user->getLoc()) << "is read here";
    return diagnostic;
  }
  return success();
}

/// Queries and keys that scores can be made of.
static LogicalResult verifyScored(SelectBlocksOp op) {
  auto headDim = op.getHeadDimAttr() ? op.getHeadDimAttr().getInt() : 0;
  if (headDim < 1)
    return op.emitOpError()
           << "expected heads of at least 1 column, found " << headDim;
  int64_t heads = op.getKvHeads();
  auto query = cast<RankedTensorType>(op.getQuery().getType()),
       keys = cast<RankedTensorType>(op.getKeys().getType());
  if (headDim > keys.getDimSize(2) || keys.getDimSize(2) % headDim ||
      keys.getDimSize(2) / headDim != heads)
    return op.emitOpError() << "expected lists of " << op.getBlocksPerHead()
                            << " blocks for each KV head of the keys, found "
                            << op.getBlocks().getType() << " for heads of "
                            << headDim << " of " << keys;
  if (query.isDynamicDim(1) || query.getDimSize(1) < 1 ||
      query.getDimSize(1) % (heads * headDim))
    return op.emitOpError()
           << "expected as many query heads of " << headDim
           << " columns for each of " << heads << " KV heads, found " << query;
  return success();
}

/// The matrices that make scores of queries and of pooled keys.
static LogicalResult verifyWeights(SelectBlocksOp op) {
  if (!op.getQueryWeight())
    return success();
  auto shapeOf = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getShape();
  };
  int64_t heads = op.getKvHeads(), headDim = op.getHeadDimAttr().getInt();
  ArrayRef<int64_t> query = shapeOf(op.getQueryWeight()),
                    key = shapeOf(op.getKeyWeight());
  int64_t perHead = shapeOf(op.getQuery())[1] / heads;
  if (query[0] > 0 && query[0] % heads == 0 && key[0] == query[0] &&
      query[1] == perHead && key[1] == 3 * headDim)
    return success();
  return op.emitOpError() << "expected weights of as many rows, some for each "
                             "of "
                          << heads << " KV heads, of " << perHead << " and "
                          << 3 * headDim << " columns, found "
                          << op.getQueryWeight().getType() << " and "
                          << op.getKeyWeight().getType();
}

LogicalResult SelectBlocksOp::verify() {
  auto top = static_cast<int64_t>(getTop());
  if (failed(verifyCounts(*this, static_cast<int64_t>(getBlockSize()),
                          static_cast<int64_t>(getRecent()),
                          static_cast<int64_t>(getFirst()), top)))
    return failure();
  if (std::optional<uint64_t> window = getWindow();
      window && static_cast<int64_t>(*window) < 1)
    return emitOpError() << "expected a window of at least 1, found "
                         << static_cast<int64_t>(*window);
  auto lists = cast<RankedTensorType>(getBlocks().getType());
  int64_t rows = cast<RankedTensorType>(getPositions().getType()).getDimSize(0);
  if (lists.getDimSize(0) != rows || lists.isDynamicDim(1) ||
      lists.getDimSize(1) < 1 || lists.getDimSize(1) % getBlocksPerHead())
    return emitOpError() << "expected lists of " << getBlocksPerHead()
                         << " blocks for each KV head, for each row of "
                         << getPositions().getType() << ", found " << lists;
  if (!getQuery() != !getKeys() || !getQuery() != !getHeadDimAttr() ||
      !getQuery() != (top == 0))
    return emitOpError() << "expected a query, keys and the size of heads if "
                            "and only if there are top blocks, found 'top' "
                         << top << " and " << (getQuery() ? "a" : "no")
                         << " query";
  if (!getQueryWeight() != !getKeyWeight() || (getQueryWeight() && !top))
    return emitOpError() << "expected weights for queries and for keys, or "
                            "none, and none without top blocks";
  if (top && (failed(verifyScored(*this)) || failed(verifyWeights(*this))))
    return failure();
  if (top && cast<RankedTensorType>(getQuery().getType()).getDimSize(0) != rows)
    return emitOpError() << "expected a query of as many rows as positions, "
                            "found "
                         << getQuery().getType() << " and "
                         << getPositions().getType();
  return verifyReaders(*this);
}

//===----------------------------------------------------------------------===//
// Decomposition
//===----------------------------------------------------------------------===//

namespace {
/// Builds scalar code on index values.
class Scalars {
public:
  Scalars(OpBuilder &b, Location loc) : b(b), loc(loc) {}

  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value loop(int64_t dim) { return linalg::IndexOp::create(b, loc, dim); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value mul(Value x, int64_t y) {
    return arith::MulIOp::create(b, loc, x, constant(y));
  }
  Value div(Value x, int64_t y) {
    return arith::DivUIOp::create(b, loc, x, constant(y));
  }
  Value rem(Value x, int64_t y) {
    return arith::RemUIOp::create(b, loc, x, constant(y));
  }
  Value max(Value x, Value y) { return arith::MaxSIOp::create(b, loc, x, y); }
  Value compare(arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, predicate, x, y);
  }
  Value less(Value x, Value y) {
    return compare(arith::CmpIPredicate::slt, x, y);
  }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, loc, x, y); }
  Value either(Value x, Value y) { return arith::OrIOp::create(b, loc, x, y); }
  Value select(Value condition, Value yes, Value no) {
    return arith::SelectOp::create(b, loc, condition, yes, no);
  }
  Value extract(Value tensor, ValueRange at) {
    return tensor::ExtractOp::create(b, loc, tensor, at);
  }
  Value asIndex(Value value) {
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), value);
  }
  Value asI32(Value value) {
    if (value.getType().isInteger(1))
      return arith::ExtUIOp::create(b, loc, b.getI32Type(), value);
    return arith::IndexCastOp::create(b, loc, b.getI32Type(), value);
  }
  Value widen(Value value) {
    if (value.getType().isF32())
      return value;
    return arith::ExtFOp::create(b, loc, b.getF32Type(), value);
  }

  OpBuilder &b;
  Location loc;
};

class SelectDecomposer : LinalgSteps {
public:
  SelectDecomposer(OpBuilder &builder, SelectBlocksOp op)
      : LinalgSteps(builder, op.getLoc(), op.getSite()), op(op),
        size(static_cast<int64_t>(op.getBlockSize())),
        recent(static_cast<int64_t>(op.getRecent())),
        first(static_cast<int64_t>(op.getFirst())),
        perHead(op.getBlocksPerHead()), heads(op.getKvHeads()) {}

  Value run() {
    rows = extent(op.getPositions(), 0);
    leaders = findLeaders();
    if (op.getTop() == 0)
      return listByPosition();
    context = extent(op.getKeys(), 1);
    Value scores = op.getQueryWeight()
                       ? scorePooled(multiplyWeights())
                       : scoreBlocks(multiplyKeys(sumQueries()));
    Value chosen = choose(countAhead(scores));
    return listChosen(chosen, countBefore(chosen));
  }

private:
  using Body = llvm::function_ref<Value(Scalars &, ValueRange)>;
  /// The blocks that a row sees, by the position of its leader: [from, own].
  struct Seen {
    Value any, from, own;
  };

  /// `body` gets the elements of the inputs and, last, that of `init`.
  Value generic(ValueRange inputs, Value init, ArrayRef<AffineMap> maps,
                unsigned reductions, StringRef step, Body body) {
    return LinalgSteps::generic(
        inputs, init, maps, reductions, step,
        [&](OpBuilder &b, Location l, ValueRange in, Value sofar) {
          SmallVector<Value> elements(in);
          elements.push_back(sofar);
          Scalars scalars(b, l);
          return body(scalars, elements);
        });
  }

  Value leaderOf(Scalars &s, Value row) {
    return s.asIndex(s.extract(leaders, row));
  }
  Seen seenBy(Scalars &s, Value row) {
    Value zero = s.constant(0);
    Value position = s.asIndex(s.extract(op.getPositions(), leaderOf(s, row)));
    Value any = s.compare(arith::CmpIPredicate::sge, position, zero);
    position = s.max(position, zero);
    Value from = zero;
    if (std::optional<uint64_t> window = op.getWindow())
      from =
          s.div(s.max(zero, s.sub(s.add(position, s.constant(1)),
                                  s.constant(static_cast<int64_t>(*window)))),
                size);
    return {any, from, s.div(position, size)};
  }
  /// Is the block one of those that scores decide about?
  Value isOpen(Scalars &s, const Seen &seen, Value block) {
    Value behindFirst = s.compare(arith::CmpIPredicate::sge, block,
                                  s.add(seen.from, s.constant(first)));
    Value beforeRecent = s.less(block, s.sub(seen.own, s.constant(recent - 1)));
    return s.both(seen.any, s.both(behindFirst, beforeRecent));
  }

  Value findLeaders();
  Value listByPosition();
  Value sumQueries();
  Value multiplyKeys(Value queries);
  Value scoreBlocks(Value dots);
  Value multiplyWeights();
  Value poolKeys(int64_t kind);
  Value scorePooled(Value queries);
  Value countAhead(Value scores);
  Value choose(Value ahead);
  Value countBefore(Value chosen);
  Value listChosen(Value chosen, Value places);
  SmallVector<OpFoldResult> tableSizes() {
    return {rows, builder.getIndexAttr(heads), context};
  }

  SelectBlocksOp op;
  int64_t size, recent, first, perHead, heads;
  OpFoldResult rows, context;
  Value leaders; // [rows]: the first row that chooses together with a row
};
} // namespace

/// One more than the last row before it of another slot or block.
Value SelectDecomposer::findLeaders() {
  AffineMap mine = map(2, {dim(0)}), other = map(2, {dim(1)});
  return generic(
      {op.getSlots(), op.getPositions(), op.getSlots(), op.getPositions()},
      filled(rows, builder.getI32IntegerAttr(0), "zero"),
      {mine, mine, other, other, mine}, 1, "leaders",
      [&](Scalars &s, ValueRange in) -> Value {
        auto blockOf = [&](Value position) {
          Value p = s.asIndex(position), zero = s.constant(0);
          return s.select(s.less(p, zero), s.constant(-1),
                          s.div(s.max(p, zero), size));
        };
        Value row = s.loop(0), before = s.loop(1);
        Value isOther =
            s.either(s.compare(arith::CmpIPredicate::ne, in[0], in[2]),
                     s.compare(arith::CmpIPredicate::ne, blockOf(in[1]),
                               blockOf(in[3])));
        Value ends = s.both(s.less(before, row), isOther);
        Value behind = s.asI32(s.add(before, s.constant(1)));
        return s.select(ends, s.max(in[4], behind), in[4]);
      });
}

/// Without scores: the first blocks, then the last, or all if they are no more.
Value SelectDecomposer::listByPosition() {
  auto type = cast<RankedTensorType>(op.getBlocks().getType());
  return generic(
      {},
      empty({rows, builder.getIndexAttr(type.getDimSize(1))},
            builder.getI32Type()),
      {builder.getMultiDimIdentityMap(2)}, 0, "",
      [&](Scalars &s, ValueRange) -> Value {
        Seen seen = seenBy(s, s.loop(0));
        Value place = s.rem(s.loop(1), perHead);
        Value count = s.sub(s.add(seen.own, s.constant(1)), seen.from);
        // From the place behind the first ones on, blocks are counted from the
        // last, if some lie between.
        Value between = s.max(s.sub(count, s.constant(perHead)), s.constant(0));
        Value number = s.add(place, s.select(s.less(place, s.constant(first)),
                                             s.constant(0), between));
        Value isThere = s.both(seen.any, s.less(number, count));
        return s.asI32(
            s.select(isThere, s.add(seen.from, number), s.constant(-1)));
      });
}

/// [rows, KV heads * D]: the sum of the leader's queries of each KV head.
Value SelectDecomposer::sumQueries() {
  int64_t headDim = op.getHeadDimAttr().getInt();
  int64_t width = heads * headDim;
  int64_t group =
      cast<RankedTensorType>(op.getQuery().getType()).getDimSize(1) / width;
  Value shape = empty({builder.getIndexAttr(group)}, builder.getF32Type());
  return generic(
      shape, filled({rows, builder.getIndexAttr(width)}, 0.0f, "start"),
      {map(3, {dim(2)}), map(3, {dim(0), dim(1)})}, 1, "queries",
      [&](Scalars &s, ValueRange in) -> Value {
        Value column = s.loop(1);
        Value head = s.add(s.mul(s.div(column, headDim), group), s.loop(2));
        Value query =
            s.extract(op.getQuery(),
                      {leaderOf(s, s.loop(0)),
                       s.add(s.mul(head, headDim), s.rem(column, headDim))});
        return arith::AddFOp::create(s.b, s.loc, in[1], s.widen(query));
      });
}

/// [rows, KV heads, context]: with the key of each position before the row's
/// own block.
Value SelectDecomposer::multiplyKeys(Value queries) {
  int64_t headDim = op.getHeadDimAttr().getInt();
  Value shape = empty({builder.getIndexAttr(headDim)}, builder.getF32Type());
  return generic(
      {queries, shape}, filled(tableSizes(), 0.0f, "none"),
      {map(4, {dim(0), dim(1) * headDim + dim(3)}), map(4, {dim(3)}),
       map(4, {dim(0), dim(1), dim(2)})},
      1, "dots", [&](Scalars &s, ValueRange in) -> Value {
        Value row = s.loop(0), position = s.loop(2);
        Seen seen = seenBy(s, row);
        Value slot = s.asIndex(s.extract(op.getSlots(), leaderOf(s, row)));
        Value key = s.widen(s.extract(
            op.getKeys(),
            {slot, position, s.add(s.mul(s.loop(1), headDim), s.loop(3))}));
        Value sum = arith::AddFOp::create(
            s.b, s.loc, in[2], arith::MulFOp::create(s.b, s.loc, in[0], key));
        // What lies behind may be anything.
        return s.select(s.less(position, s.mul(seen.own, size)), sum, in[2]);
      });
}

/// [rows, KV heads, blocks]: summed over the positions of each block.
Value SelectDecomposer::scoreBlocks(Value dots) {
  Value shape = empty({builder.getIndexAttr(size)}, builder.getF32Type());
  return generic(
      shape, filled(tableSizes(), 0.0f, "unscored"),
      {map(4, {dim(3)}), map(4, {dim(0), dim(1), dim(2)})}, 1, "scores",
      [&](Scalars &s, ValueRange in) -> Value {
        Value row = s.loop(0), block = s.loop(2);
        Value isOpen = this->isOpen(s, seenBy(s, row), block);
        // In bounds even where it is not used.
        Value at = s.select(isOpen, s.add(s.mul(block, size), s.loop(3)),
                            s.constant(0));
        Value sum = arith::AddFOp::create(
            s.b, s.loc, in[1], s.extract(dots, {row, s.loop(1), at}));
        return s.select(isOpen, sum, in[1]);
      });
}

/// [rows, KV heads * 3 D]: V^T U of the leader's queries, for each KV head what
/// its pooled keys are multiplied with.
Value SelectDecomposer::multiplyWeights() {
  int64_t rank = op.getScorerRank(), pooled = 3 * op.getHeadDimAttr().getInt();
  int64_t width =
      cast<RankedTensorType>(op.getQueryWeight().getType()).getDimSize(1);
  AffineExpr r = dim(0), i = dim(1), c = dim(2);
  Value inner = generic(
      op.getQueryWeight(),
      filled({rows, builder.getIndexAttr(heads * rank)}, 0.0f, "start"),
      {map(3, {i, c}), map(3, {r, i})}, 1, "queries.inner",
      [&](Scalars &s, ValueRange in) -> Value {
        Value column = s.add(s.mul(s.div(s.loop(1), rank), width), s.loop(2));
        Value query =
            s.extract(op.getQuery(), {leaderOf(s, s.loop(0)), column});
        return arith::AddFOp::create(
            s.b, s.loc, in[1],
            arith::MulFOp::create(s.b, s.loc, s.widen(in[0]), s.widen(query)));
      });
  // The row of V and of `inner` is that of the head of the column.
  Value shape = empty({builder.getIndexAttr(rank)}, builder.getF32Type());
  return generic(
      shape,
      filled({rows, builder.getIndexAttr(heads * pooled)}, 0.0f, "begin"),
      {map(3, {dim(2)}), map(3, {dim(0), dim(1)})}, 1, "queries",
      [&](Scalars &s, ValueRange in) -> Value {
        Value column = s.loop(1);
        Value row = s.add(s.mul(s.div(column, pooled), rank), s.loop(2));
        Value weight =
            s.extract(op.getKeyWeight(), {row, s.rem(column, pooled)});
        return arith::AddFOp::create(
            s.b, s.loc, in[1],
            arith::MulFOp::create(s.b, s.loc, s.widen(weight),
                                  s.extract(inner, {s.loop(0), row})));
      });
}

/// [slots, blocks, width]: of each column of the keys the mean (0), the largest
/// (1) or the smallest (2) of each block. Of blocks that are not whole yet it
/// may be anything.
Value SelectDecomposer::poolKeys(int64_t kind) {
  static const char *const names[] = {"mean", "largest", "smallest"};
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const float starts[] = {0, -infinity, infinity};
  Value keys = op.getKeys();
  Value shape = empty({builder.getIndexAttr(size)}, builder.getF32Type());
  Value last = arith::SubIOp::create(
      builder, loc, getValueOrCreateConstantIndexOp(builder, loc, context),
      arith::ConstantIndexOp::create(builder, loc, 1));
  std::string name = names[kind];
  return generic(
      shape,
      filled({extent(keys, 0), context, extent(keys, 2)}, starts[kind],
             "no_" + name),
      {map(4, {dim(3)}), map(4, {dim(0), dim(1), dim(2)})}, 1, name,
      [&](Scalars &s, ValueRange in) -> Value {
        Value at = s.add(s.mul(s.loop(1), size), s.loop(3));
        at = arith::MinSIOp::create(s.b, s.loc, at, last);
        Value key = s.widen(s.extract(keys, {s.loop(0), at, s.loop(2)}));
        if (kind == 1)
          return arith::MaximumFOp::create(s.b, s.loc, in[1], key);
        if (kind == 2)
          return arith::MinimumFOp::create(s.b, s.loc, in[1], key);
        Value share = arith::ConstantOp::create(
            s.b, s.loc, s.b.getF32FloatAttr(1 / static_cast<float>(size)));
        return arith::AddFOp::create(
            s.b, s.loc, in[1], arith::MulFOp::create(s.b, s.loc, key, share));
      });
}

/// [rows, KV heads, blocks]: the products of `queries` with what keys are
/// pooled to.
Value SelectDecomposer::scorePooled(Value queries) {
  int64_t headDim = op.getHeadDimAttr().getInt();
  std::array<Value, 3> pools;
  for (int64_t kind = 0; kind < 3; ++kind)
    pools[kind] = poolKeys(kind);
  AffineExpr r = dim(0), k = dim(1), e = dim(3);
  Value shape = empty({builder.getIndexAttr(headDim)}, builder.getF32Type());
  auto queryMap = [&](int64_t kind) {
    return map(4, {r, k * (3 * headDim) + e + kind * headDim});
  };
  return generic(
      {queries, queries, queries, shape},
      filled(tableSizes(), 0.0f, "unscored"),
      {queryMap(0), queryMap(1), queryMap(2), map(4, {e}),
       map(4, {r, k, dim(2)})},
      1, "scores", [&](Scalars &s, ValueRange in) -> Value {
        Value row = s.loop(0), block = s.loop(2);
        Value isOpen = this->isOpen(s, seenBy(s, row), block);
        Value slot = s.asIndex(s.extract(op.getSlots(), leaderOf(s, row)));
        Value column = s.add(s.mul(s.loop(1), headDim), s.loop(3));
        Value sum = in[4];
        for (int64_t kind = 0; kind < 3; ++kind)
          sum = arith::AddFOp::create(
              s.b, s.loc, sum,
              arith::MulFOp::create(s.b, s.loc, in[static_cast<size_t>(kind)],
                                    s.extract(pools[static_cast<size_t>(kind)],
                                              {slot, block, column})));
        return s.select(isOpen, sum, in[4]);
      });
}

/// How many blocks are preferred to each.
Value SelectDecomposer::countAhead(Value scores) {
  AffineMap mine = map(4, {dim(0), dim(1), dim(2)}),
            other = map(4, {dim(0), dim(1), dim(3)});
  return generic(
      {scores, scores},
      filled(tableSizes(), builder.getI32IntegerAttr(0), "nobody"),
      {mine, other, mine}, 1, "ahead", [&](Scalars &s, ValueRange in) -> Value {
        using P = arith::CmpFPredicate;
        auto compare = [&](P predicate, Value x, Value y) -> Value {
          return arith::CmpFOp::create(s.b, s.loc, predicate, x, y);
        };
        Value block = s.loop(2), rival = s.loop(3);
        Value isNaN = compare(P::UNO, in[0], in[0]),
              rivalIsNaN = compare(P::UNO, in[1], in[1]);
        Value no =
            arith::ConstantOp::create(s.b, s.loc, s.b.getBoolAttr(false));
        Value isLarger = s.either(compare(P::OGT, in[1], in[0]),
                                  s.select(isNaN, no, rivalIsNaN));
        Value isEqual =
            s.either(compare(P::OEQ, in[1], in[0]), s.both(isNaN, rivalIsNaN));
        Value isAhead =
            s.either(isLarger, s.both(isEqual, s.less(rival, block)));
        Value counts = s.both(isAhead, isOpen(s, seenBy(s, s.loop(0)), rival));
        return s.add(in[2], s.asI32(counts));
      });
}

/// 1 for the blocks that a row chooses.
Value SelectDecomposer::choose(Value ahead) {
  AffineMap all = builder.getMultiDimIdentityMap(3);
  return generic(
      ahead, empty(tableSizes(), builder.getI32Type()), {all, all}, 0, "chosen",
      [&](Scalars &s, ValueRange in) -> Value {
        Value block = s.loop(2);
        Seen seen = seenBy(s, s.loop(0));
        Value isSeen = s.both(
            seen.any,
            s.both(s.compare(arith::CmpIPredicate::sge, block, seen.from),
                   s.compare(arith::CmpIPredicate::sle, block, seen.own)));
        Value isOpen = this->isOpen(s, seen, block);
        Value isTop = s.less(s.asIndex(in[0]),
                             s.constant(static_cast<int64_t>(op.getTop())));
        Value yes =
            arith::ConstantOp::create(s.b, s.loc, s.b.getBoolAttr(true));
        return s.asI32(s.both(isSeen, s.select(isOpen, isTop, yes)));
      });
}

/// How many chosen blocks come before each.
Value SelectDecomposer::countBefore(Value chosen) {
  AffineMap mine = map(4, {dim(0), dim(1), dim(2)}),
            other = map(4, {dim(0), dim(1), dim(3)});
  return generic(
      chosen, filled(tableSizes(), builder.getI32IntegerAttr(0), "unplaced"),
      {other, mine}, 1, "places", [&](Scalars &s, ValueRange in) -> Value {
        return s.select(s.less(s.loop(3), s.loop(2)), s.add(in[1], in[0]),
                        in[1]);
      });
}

/// What has the place of each element of a list, or -1.
Value SelectDecomposer::listChosen(Value chosen, Value places) {
  auto type = cast<RankedTensorType>(op.getBlocks().getType());
  AffineMap table = map(3, {dim(0), dim(1).floorDiv(perHead), dim(2)});
  return generic(
      {chosen, places},
      filled({rows, builder.getIndexAttr(type.getDimSize(1))},
             builder.getI32IntegerAttr(-1), "unlisted"),
      {table, table, map(3, {dim(0), dim(1)})}, 1, "",
      [&](Scalars &s, ValueRange in) -> Value {
        Value place = s.asI32(s.rem(s.loop(1), perHead));
        Value one =
            arith::ConstantOp::create(s.b, s.loc, s.b.getI32IntegerAttr(1));
        Value isIt = s.both(s.compare(arith::CmpIPredicate::eq, in[0], one),
                            s.compare(arith::CmpIPredicate::eq, in[1], place));
        return s.select(isIt, s.asI32(s.loop(2)), in[2]);
      });
}

FailureOr<SmallVector<Value>>
SelectBlocksOp::decomposeOperation(OpBuilder &builder) {
  return SmallVector<Value>{SelectDecomposer(builder, *this).run()};
}
