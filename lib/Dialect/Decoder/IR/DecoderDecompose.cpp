// What each decoder op means, spelled out in linalg.
//
// In: one op. Out: linalg on tensors (and one scf.for, for the cache update)
// that computes the same value, in f32, in the most direct way. This is the
// definition that every faster kernel is compared with: it is written to be
// read, and nothing in it is tuned.
//
// Two things are kept for whoever fuses and tiles the result by rows:
// - the heads of a row tensor are addressed by index maps such as
//   (r, h, d) -> (r, h * head_dim + d), never by reshapes;
// - what depends on data (slots, tokens) is a tensor.extract from the whole
//   cache or table, and everything else is an ordinary operand.
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/LinalgSteps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <limits>

using namespace mlir;
using namespace coppice;
using namespace coppice::decoder;

/// Widens a stored element to f32.
static Value widen(OpBuilder &b, Location loc, Value element) {
  if (element.getType().isF32())
    return element;
  return arith::ExtFOp::create(b, loc, b.getF32Type(), element);
}

/// Rounds an f32 element to what the result stores.
static Value narrow(OpBuilder &b, Location loc, Value element, Type type) {
  if (type.isF32())
    return element;
  return arith::TruncFOp::create(b, loc, type, element);
}

static Value asIndex(OpBuilder &b, Location loc, Value element) {
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), element);
}

static Value f32(OpBuilder &b, Location loc, const llvm::APFloat &value) {
  return arith::ConstantOp::create(b, loc, b.getF32Type(),
                                   b.getFloatAttr(b.getF32Type(), value));
}

static Value f32(OpBuilder &b, Location loc, float value) {
  return f32(b, loc, llvm::APFloat(value));
}

FailureOr<SmallVector<Value>> LookupOp::decomposeOperation(OpBuilder &builder) {
  LinalgSteps d(builder, getLoc(), getSite());
  Value table = getTable();
  Value init = d.empty({d.extent(getIndices(), 0), d.extent(table, 1)},
                       builder.getF32Type());
  Value result =
      d.generic(getIndices(), init,
                {d.map(2, {d.dim(0)}), d.map(2, {d.dim(0), d.dim(1)})}, 0, "",
                [&](OpBuilder &b, Location loc, ValueRange in, Value) -> Value {
                  Value row = asIndex(b, loc, in[0]);
                  Value column = linalg::IndexOp::create(b, loc, 1);
                  Value element = tensor::ExtractOp::create(
                      b, loc, table, ValueRange{row, column});
                  return widen(b, loc, element);
                });
  return SmallVector<Value>{result};
}

/// One element of a norm: from the element, the sum of the squares that it is
/// normed with, and its gain.
static Value normalise(OpBuilder &b, Location loc, RMSNormOp op, Value element,
                       Value squares, Value gain) {
  auto divisor = static_cast<float>(op.getDivisorAttr().getInt());
  Value mean = arith::DivFOp::create(b, loc, squares, f32(b, loc, divisor));
  Value shifted =
      arith::AddFOp::create(b, loc, mean, f32(b, loc, op.getEpsilon()));
  Value root = math::SqrtOp::create(b, loc, shifted);
  Value normal = arith::DivFOp::create(b, loc, element, root);
  Value scaled = arith::MulFOp::create(b, loc, normal, widen(b, loc, gain));
  return narrow(b, loc, scaled, op.getResult().getType().getElementType());
}

/// The norm of each run of `head_dim` columns.
static Value normHeads(LinalgSteps &d, RMSNormOp op) {
  Value input = op.getInput(), gain = op.getGain();
  int64_t headDim = op.getHeadDimAttr().getInt();
  int64_t columns = op.getInput().getType().getDimSize(1);
  OpFoldResult rows = d.extent(input, 0);
  AffineExpr r = d.dim(0), h = d.dim(1), e = d.dim(2), c = d.dim(1);
  // The sum does not depend on the gains; they tell the size of a head.
  Value squares = d.generic(
      {input, gain},
      d.filled({rows, d.builder.getIndexAttr(columns / headDim)}, 0.0f, "zero"),
      {d.map(3, {r, h * headDim + e}), d.map(3, {e}), d.map(3, {r, h})}, 1,
      "squares",
      [&](OpBuilder &b, Location loc, ValueRange in, Value sum) -> Value {
        Value square = arith::MulFOp::create(b, loc, in[0], in[0]);
        return arith::AddFOp::create(b, loc, sum, square);
      });
  // A gain is read in the body, as a rotary partner is: its index goes up and
  // down along a row.
  return d.generic(
      {input, squares},
      d.empty({rows, d.extent(input, 1)},
              op.getResult().getType().getElementType()),
      {d.map(2, {r, c}), d.map(2, {r, c.floorDiv(headDim)}), d.map(2, {r, c})},
      0, "", [&](OpBuilder &b, Location loc, ValueRange in, Value) -> Value {
        Value column = linalg::IndexOp::create(b, loc, 1);
        Value ofHead = arith::RemUIOp::create(
            b, loc, column, arith::ConstantIndexOp::create(b, loc, headDim));
        return normalise(b, loc, op, in[0], in[1],
                         tensor::ExtractOp::create(b, loc, gain, ofHead));
      });
}

FailureOr<SmallVector<Value>>
RMSNormOp::decomposeOperation(OpBuilder &builder) {
  LinalgSteps d(builder, getLoc(), getSite());
  if (getHeadDimAttr())
    return SmallVector<Value>{normHeads(d, *this)};
  Value input = getInput();
  OpFoldResult rows = d.extent(input, 0), width = d.extent(input, 1);
  AffineMap perElement = d.map(2, {d.dim(0), d.dim(1)});
  AffineMap perRow = d.map(2, {d.dim(0)}), perColumn = d.map(2, {d.dim(1)});

  Value squares = d.generic(
      input, d.filled({rows}, 0.0f, "zero"), {perElement, perRow}, 1, "squares",
      [&](OpBuilder &b, Location loc, ValueRange in, Value sum) -> Value {
        Value square = arith::MulFOp::create(b, loc, in[0], in[0]);
        return arith::AddFOp::create(b, loc, sum, square);
      });
  Type storage = getResult().getType().getElementType();
  Value result =
      d.generic({input, squares, getGain()}, d.empty({rows, width}, storage),
                {perElement, perRow, perColumn, perElement}, 0, "",
                [&](OpBuilder &b, Location loc, ValueRange in, Value) -> Value {
                  return normalise(b, loc, *this, in[0], in[1], in[2]);
                });
  return SmallVector<Value>{result};
}

FailureOr<SmallVector<Value>>
RotaryTableOp::decomposeOperation(OpBuilder &builder) {
  LinalgSteps d(builder, getLoc(), getSite());
  auto count = static_cast<int64_t>(getFrequencies().size());
  auto type = RankedTensorType::get({count}, builder.getF32Type());
  Value frequencies = arith::ConstantOp::create(
      builder, d.loc, DenseElementsAttr::get(type, getFrequencies()));
  OpFoldResult rows = d.extent(getPositions(), 0);

  // One column computes both, so that a frequency is read at column mod F.
  Value init =
      d.empty({rows, builder.getIndexAttr(2 * count)}, builder.getF32Type());
  Value result = d.generic(
      {getPositions(), frequencies}, init,
      {d.map(2, {d.dim(0)}), d.map(2, {d.dim(1) % count}),
       d.map(2, {d.dim(0), d.dim(1)})},
      0, "", [&](OpBuilder &b, Location loc, ValueRange in, Value) -> Value {
        Value position = arith::SIToFPOp::create(b, loc, b.getF32Type(), in[0]);
        Value angle = arith::MulFOp::create(b, loc, position, in[1]);
        Value cosine = math::CosOp::create(b, loc, angle);
        Value sine = math::SinOp::create(b, loc, angle);
        Value column = linalg::IndexOp::create(b, loc, 1);
        Value f = arith::ConstantIndexOp::create(b, loc, count);
        Value first =
            arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, column, f);
        return arith::SelectOp::create(b, loc, first, cosine, sine);
      });
  return SmallVector<Value>{result};
}

FailureOr<SmallVector<Value>> RotaryOp::decomposeOperation(OpBuilder &builder) {
  LinalgSteps d(builder, getLoc(), getSite());
  Value input = getInput();
  int64_t headDim = getHeadDimAttr().getInt();
  int64_t rotated = getAngles().getType().getDimSize(1), half = rotated / 2;

  // Column c is column i of its head; its partner in the rotation is half the
  // rotated columns away. That index goes up and down along a row, so the
  // partner and the angles are read in the body: indexing maps that are not
  // monotone would be tiled to slices that end too early.
  AffineMap identity = d.map(2, {d.dim(0), d.dim(1)});
  Value angles = getAngles();
  Type storage = getResult().getType().getElementType();
  Value init = d.empty({d.extent(input, 0), d.extent(input, 1)}, storage);
  Value result = d.generic(
      input, init, {identity, identity}, 0, "",
      [&](OpBuilder &b, Location loc, ValueRange in, Value) -> Value {
        auto constant = [&](int64_t value) -> Value {
          return arith::ConstantIndexOp::create(b, loc, value);
        };
        Value row = linalg::IndexOp::create(b, loc, 0);
        Value c = linalg::IndexOp::create(b, loc, 1);
        Value i = arith::RemUIOp::create(b, loc, c, constant(headDim));
        Value head = arith::SubIOp::create(b, loc, c, i);
        // Where nothing rotates (i >= 2 F) these indices still stay in bounds,
        // and what they read is not used.
        Value across = arith::RemUIOp::create(
            b, loc, arith::AddIOp::create(b, loc, i, constant(half)),
            constant(rotated));
        Value partner = tensor::ExtractOp::create(
            b, loc, input,
            ValueRange{row, arith::AddIOp::create(b, loc, head, across)});
        Value pair = arith::RemUIOp::create(b, loc, i, constant(half));
        Value cosine =
            tensor::ExtractOp::create(b, loc, angles, ValueRange{row, pair});
        Value sine = tensor::ExtractOp::create(
            b, loc, angles,
            ValueRange{row,
                       arith::AddIOp::create(b, loc, pair, constant(half))});

        Value straight = arith::MulFOp::create(b, loc, in[0], cosine);
        Value crossed = arith::MulFOp::create(b, loc, partner, sine);
        Value lower = arith::SubFOp::create(b, loc, straight, crossed);
        Value upper = arith::AddFOp::create(b, loc, straight, crossed);
        auto below = [&](int64_t bound) -> Value {
          return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, i,
                                       constant(bound));
        };
        Value turned =
            arith::SelectOp::create(b, loc, below(half), lower, upper);
        if (rotated != headDim)
          turned =
              arith::SelectOp::create(b, loc, below(rotated), turned, in[0]);
        return narrow(b, loc, turned, storage);
      });
  return SmallVector<Value>{result};
}

FailureOr<SmallVector<Value>> AppendOp::decomposeOperation(OpBuilder &builder) {
  LinalgSteps d(builder, getLoc(), getSite());
  Value rows = getRows();
  OpFoldResult count = d.extent(rows, 0), width = d.extent(rows, 1);
  Type storage = getCache().getType().getElementType();

  if (getElementTypeOrSelf(rows) != storage) {
    AffineMap identity = d.map(2, {d.dim(0), d.dim(1)});
    rows = d.generic(
        rows, d.empty({count, width}, storage), {identity, identity}, 0,
        "narrowed", [&](OpBuilder &b, Location loc, ValueRange in, Value) {
          return arith::TruncFOp::create(b, loc, storage, in[0]).getResult();
        });
  }

  // The cache goes through the loop as its one carried value, which is what
  // lets bufferization write each row where it belongs and copy nothing else.
  Location loc = d.loc;
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  Value bound = getValueOrCreateConstantIndexOp(builder, loc, count);
  auto loop = scf::ForOp::create(
      builder, loc, zero, bound, one, getCache(),
      [&](OpBuilder &b, Location loc, Value row, ValueRange carried) {
        Value slot =
            asIndex(b, loc, tensor::ExtractOp::create(b, loc, getSlots(), row));
        Value position = asIndex(
            b, loc, tensor::ExtractOp::create(b, loc, getPositions(), row));
        OpFoldResult c0 = b.getIndexAttr(0), c1 = b.getIndexAttr(1);
        auto type = cast<RankedTensorType>(rows.getType());
        auto rowType = RankedTensorType::get({type.getDimSize(1)}, storage);
        Value slice = tensor::ExtractSliceOp::create(
            b, loc, rowType, rows, ArrayRef<OpFoldResult>{row, c0},
            ArrayRef<OpFoldResult>{c1, width}, ArrayRef<OpFoldResult>{c1, c1});
        Value updated = tensor::InsertSliceOp::create(
            b, loc, slice, carried[0],
            ArrayRef<OpFoldResult>{slot, position, c0},
            ArrayRef<OpFoldResult>{c1, c1, width},
            ArrayRef<OpFoldResult>{c1, c1, c1});
        scf::YieldOp::create(b, loc, updated);
      });
  d.name(loop, "");
  return SmallVector<Value>{loop.getResult(0)};
}

/// [rows, KV heads, context] of i32: how often the block of a position is in
/// the row's list for the KV head.
static Value listPositions(LinalgSteps &d, AttentionOp op) {
  OpBuilder &b = d.builder;
  int64_t perHead = op.getBlocksPerHead();
  OpFoldResult heads = b.getIndexAttr(op.getKvHeads());
  AffineExpr r = d.dim(0), k = d.dim(1), j = d.dim(2), c = d.dim(3);
  Value none =
      d.filled({d.extent(op.getQuery(), 0), heads, d.extent(op.getKeys(), 1)},
               b.getI32IntegerAttr(0), "unlisted");
  // How long a list is, is an iterator that has its extent from here.
  Value length = d.empty({b.getIndexAttr(perHead)}, b.getI32Type());
  return d.generic(
      {op.getBlocks(), length}, none,
      {d.map(4, {r, k * perHead + c}), d.map(4, {c}), d.map(4, {r, k, j})}, 1,
      "listed",
      [&](OpBuilder &b, Location loc, ValueRange in, Value count) -> Value {
        Value size = arith::ConstantIndexOp::create(
            b, loc, op.getBlockSizeAttr().getInt());
        Value block = arith::DivUIOp::create(
            b, loc, linalg::IndexOp::create(b, loc, 2), size);
        block = arith::IndexCastOp::create(b, loc, b.getI32Type(), block);
        Value isIt = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                           in[0], block);
        return arith::AddIOp::create(
            b, loc, count,
            arith::ExtUIOp::create(b, loc, b.getI32Type(), isIt));
      });
}

/// `scores` [rows, heads, context], but -inf in the blocks that are dropped.
/// Tables of blocks have room for as many as there are positions, for that is
/// an extent which has a name.
static Value dropBlocks(LinalgSteps &d, AttentionOp op, Value scores) {
  OpBuilder &builder = d.builder;
  int64_t size = op.getDropSizeAttr().getInt();
  float lowest = -std::numeric_limits<float>::infinity();
  auto margin =
      static_cast<float>(std::log(op.getDropBelowAttr().getValueAsDouble()));
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(builder, d.loc, scores);
  Value context = getValueOrCreateConstantIndexOp(builder, d.loc, sizes[2]);
  AffineExpr r = d.dim(0), h = d.dim(1), k = d.dim(2), e = d.dim(3);

  // best[r, h, k]: the largest score of block k.
  Value shape = d.empty({builder.getIndexAttr(size)}, builder.getF32Type());
  Value best = d.generic(
      shape, d.filled(sizes, lowest, "unseen"),
      {d.map(4, {e}), d.map(4, {r, h, k})}, 1, "best",
      [&](OpBuilder &b, Location loc, ValueRange, Value sofar) -> Value {
        auto index = [&](int64_t dim) -> Value {
          return linalg::IndexOp::create(b, loc, dim);
        };
        Value first = arith::MulIOp::create(
            b, loc, index(2), arith::ConstantIndexOp::create(b, loc, size));
        Value at = arith::AddIOp::create(b, loc, first, index(3));
        Value isThere = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                              at, context);
        Value zero = arith::ConstantIndexOp::create(b, loc, 0);
        Value inBounds = arith::SelectOp::create(b, loc, isThere, at, zero);
        Value score = tensor::ExtractOp::create(
            b, loc, scores, ValueRange{index(0), index(1), inBounds});
        score = arith::SelectOp::create(b, loc, isThere, score,
                                        f32(b, loc, lowest));
        return arith::MaximumFOp::create(b, loc, sofar, score);
      });
  // sofar[r, h, k]: the largest of the blocks up to k.
  Value sofar = d.generic(
      best, d.filled(sizes, lowest, "before"),
      {d.map(4, {r, h, e}), d.map(4, {r, h, k})}, 1, "best_so_far",
      [&](OpBuilder &b, Location loc, ValueRange in, Value sofar) -> Value {
        Value isBehind =
            arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt,
                                  linalg::IndexOp::create(b, loc, 3),
                                  linalg::IndexOp::create(b, loc, 2));
        Value larger = arith::MaximumFOp::create(b, loc, sofar, in[0]);
        return arith::SelectOp::create(b, loc, isBehind, sofar, larger);
      });
  AffineMap all = d.map(3, {r, h, k}),
            ofBlock = d.map(3, {r, h, k.floorDiv(size)});
  return d.generic(
      {scores, best, sofar, op.getPositions()},
      d.empty(sizes, builder.getF32Type()),
      {all, ofBlock, ofBlock, d.map(3, {r}), all}, 0, "kept",
      [&](OpBuilder &b, Location loc, ValueRange in, Value) -> Value {
        auto blockOf = [&](Value position) -> Value {
          return arith::DivUIOp::create(
              b, loc, position, arith::ConstantIndexOp::create(b, loc, size));
        };
        Value isOther =
            arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne,
                                  blockOf(linalg::IndexOp::create(b, loc, 2)),
                                  blockOf(asIndex(b, loc, in[3])));
        Value least = arith::AddFOp::create(b, loc, in[2], f32(b, loc, margin));
        Value isLow = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT,
                                            in[1], least);
        return arith::SelectOp::create(
            b, loc, arith::AndIOp::create(b, loc, isOther, isLow),
            f32(b, loc, lowest), in[0]);
      });
}

FailureOr<SmallVector<Value>>
AttentionOp::decomposeOperation(OpBuilder &builder) {
  LinalgSteps d(builder, getLoc(), getSite());
  Value query = getQuery(), keys = getKeys(), values = getValues();
  int64_t headDim = getHeadDimAttr().getInt();
  int64_t heads = getQueryHeads(), group = heads / getKvHeads();
  llvm::APFloat scale = getScale();
  OpFoldResult rows = d.extent(query, 0), context = d.extent(keys, 1);
  OpFoldResult headCount = builder.getIndexAttr(heads);
  Type f32Type = builder.getF32Type();

  // listed[r, k, j]: how often the block of position j is in the list of row r
  // and KV head k; an input of whoever asks, with the map from its loops.
  Value listed = getBlocks() ? listPositions(d, *this) : Value();
  auto withListed = [&](SmallVector<Value> inputs) {
    if (listed)
      inputs.push_back(listed);
    return inputs;
  };
  auto mapsWith = [&](SmallVector<AffineMap> maps, AffineMap ofListed) {
    if (listed)
      maps.insert(std::prev(maps.end()), ofListed);
    return maps;
  };

  // Whether the row at `position` attends to position `j`; `in` are the inputs
  // of the op that asks. All masking goes through this and arith.select,
  // because 0 * NaN is NaN: an element that is not attended to may be anything.
  auto attends = [&](OpBuilder &b, Location loc, Value position, Value j,
                     ValueRange in) -> Value {
    Value p = asIndex(b, loc, position);
    Value past = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sle, j, p);
    if (listed) {
      Value none = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
      Value isListed = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne,
                                             in.back(), none);
      past = arith::AndIOp::create(b, loc, past, isListed);
    }
    if (!getWindow())
      return past;
    Value window =
        arith::ConstantIndexOp::create(b, loc, getWindowAttr().getInt());
    Value start = arith::SubIOp::create(b, loc, p, window);
    Value recent =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt, j, start);
    return arith::AndIOp::create(b, loc, past, recent);
  };
  // cache[slot, j, column] in f32, or 0 where the row does not attend to j.
  auto load = [&](OpBuilder &b, Location loc, Value cache, Value slot,
                  Value attended, Value j, Value column) -> Value {
    Value s = asIndex(b, loc, slot);
    Value element = widen(
        b, loc,
        tensor::ExtractOp::create(b, loc, cache, ValueRange{s, j, column}));
    return arith::SelectOp::create(b, loc, attended, element,
                                   f32(b, loc, 0.0f));
  };
  // The column of a cache where KV head `head / group` has its element `d`.
  auto cacheColumn = [&](OpBuilder &b, Location loc, Value head,
                         Value d) -> Value {
    Value g = arith::ConstantIndexOp::create(b, loc, group);
    Value w = arith::ConstantIndexOp::create(b, loc, headDim);
    Value kvHead = arith::DivUIOp::create(b, loc, head, g);
    Value start = arith::MulIOp::create(b, loc, kvHead, w);
    return arith::AddIOp::create(b, loc, start, d);
  };

  // dots[r, h, j] = sum_d query[r, h D + d] * keys[slot, j, k D + d]. The head
  // size is an iterator that only maps with h * D see; an empty tensor of that
  // size gives it its extent.
  Value headShape =
      d.empty({headCount, builder.getIndexAttr(headDim)}, f32Type);
  AffineExpr r = d.dim(0), h = d.dim(1), j = d.dim(2), e = d.dim(3);
  Value dots = d.generic(
      withListed({query, getSlots(), getPositions(), headShape}),
      d.filled({rows, headCount, context}, 0.0f, "zero"),
      mapsWith({d.map(4, {r, h * headDim + e}), d.map(4, {r}), d.map(4, {r}),
                d.map(4, {h, e}), d.map(4, {r, h, j})},
               d.map(4, {r, h.floorDiv(group), j})),
      1, "dots",
      [&](OpBuilder &b, Location loc, ValueRange in, Value sum) -> Value {
        Value head = linalg::IndexOp::create(b, loc, 1);
        Value position = linalg::IndexOp::create(b, loc, 2);
        Value element = linalg::IndexOp::create(b, loc, 3);
        Value attended = attends(b, loc, in[2], position, in);
        Value key = load(b, loc, keys, in[1], attended, position,
                         cacheColumn(b, loc, head, element));
        Value product =
            arith::MulFOp::create(b, loc, widen(b, loc, in[0]), key);
        return arith::AddFOp::create(b, loc, sum, product);
      });

  // scores[r, h, j] = scale * dots, or -inf where r does not attend to j.
  AffineMap all = d.map(3, {r, h, j}), perRow = d.map(3, {r}),
            perHead = d.map(3, {r, h}),
            perKVHead = d.map(3, {r, h.floorDiv(group), j});
  float minusInfinity = -std::numeric_limits<float>::infinity();
  Value scores = d.generic(
      withListed({dots, getPositions()}),
      d.empty({rows, headCount, context}, f32Type),
      mapsWith({all, perRow, all}, perKVHead), 0, "scores",
      [&](OpBuilder &b, Location loc, ValueRange in, Value) -> Value {
        Value position = linalg::IndexOp::create(b, loc, 2);
        Value scaled = arith::MulFOp::create(b, loc, in[0], f32(b, loc, scale));
        return arith::SelectOp::create(b, loc,
                                       attends(b, loc, in[1], position, in),
                                       scaled, f32(b, loc, minusInfinity));
      });

  if (getDropBelowAttr())
    scores = dropBlocks(d, *this, scores);

  // The softmax, with the largest score subtracted.
  Value largest = d.generic(
      scores, d.filled({rows, headCount}, minusInfinity, "lowest"),
      {all, perHead}, 1, "largest",
      [&](OpBuilder &b, Location loc, ValueRange in, Value sofar) -> Value {
        return arith::MaximumFOp::create(b, loc, sofar, in[0]);
      });
  Value weights =
      d.generic(withListed({scores, largest, getPositions()}),
                d.empty({rows, headCount, context}, f32Type),
                mapsWith({all, perHead, perRow, all}, perKVHead), 0, "weights",
                [&](OpBuilder &b, Location loc, ValueRange in, Value) -> Value {
                  Value position = linalg::IndexOp::create(b, loc, 2);
                  Value power = math::ExpOp::create(
                      b, loc, arith::SubFOp::create(b, loc, in[0], in[1]));
                  // -inf - -inf is NaN in a row that attends to nothing.
                  return arith::SelectOp::create(
                      b, loc, attends(b, loc, in[2], position, in), power,
                      f32(b, loc, 0.0f));
                });
  Value total = d.generic(
      weights, d.filled({rows, headCount}, 0.0f, "none"), {all, perHead}, 1,
      "total",
      [&](OpBuilder &b, Location loc, ValueRange in, Value sum) -> Value {
        return arith::AddFOp::create(b, loc, sum, in[0]);
      });
  Value softmax =
      d.generic(withListed({weights, total, getPositions()}),
                d.empty({rows, headCount, context}, f32Type),
                mapsWith({all, perHead, perRow, all}, perKVHead), 0, "softmax",
                [&](OpBuilder &b, Location loc, ValueRange in, Value) -> Value {
                  Value position = linalg::IndexOp::create(b, loc, 2);
                  Value share = arith::DivFOp::create(b, loc, in[0], in[1]);
                  return arith::SelectOp::create(
                      b, loc, attends(b, loc, in[2], position, in), share,
                      f32(b, loc, 0.0f));
                });

  // result[r, c] = sum_j softmax[r, c / D, j] * values[slot, j, column of c].
  Type storage = getResult().getType().getElementType();
  Value width = query;
  AffineExpr c = d.dim(1);
  Value result = d.generic(
      withListed({softmax, getSlots(), getPositions()}),
      d.filled({rows, d.extent(width, 1)}, 0.0f, "start"),
      mapsWith({d.map(3, {r, c.floorDiv(headDim), j}), perRow, perRow,
                d.map(3, {r, c})},
               d.map(3, {r, c.floorDiv(headDim * group), j})),
      1, storage.isF32() ? "" : "exact",
      [&](OpBuilder &b, Location loc, ValueRange in, Value sum) -> Value {
        Value column = linalg::IndexOp::create(b, loc, 1);
        Value position = linalg::IndexOp::create(b, loc, 2);
        Value w = arith::ConstantIndexOp::create(b, loc, headDim);
        Value head = arith::DivUIOp::create(b, loc, column, w);
        Value element = arith::RemUIOp::create(b, loc, column, w);
        Value attended = attends(b, loc, in[2], position, in);
        Value value = load(b, loc, values, in[1], attended, position,
                           cacheColumn(b, loc, head, element));
        Value product = arith::MulFOp::create(b, loc, in[0], value);
        return arith::AddFOp::create(b, loc, sum, product);
      });
  if (!storage.isF32()) {
    AffineMap identity = d.map(2, {d.dim(0), d.dim(1)});
    result = d.generic(
        result, d.empty({rows, d.extent(width, 1)}, storage),
        {identity, identity}, 0, "",
        [&](OpBuilder &b, Location loc, ValueRange in, Value) -> Value {
          return narrow(b, loc, in[0], storage);
        });
  }
  return SmallVector<Value>{result};
}
