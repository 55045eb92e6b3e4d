//===- AttentionKernel.cpp - causal attention over a KV cache -------------===//
//
// In: a kernel that is one `decoder.attention`. Out: vector code.
//
// A work item is one row and one KV head, with all query heads that share it.
// It walks over the positions that the row attends to in blocks, and keeps for
// each query head the largest score so far, the sum of weights and the weighted
// sum of values relative to it (online softmax, Milakov and Gimelshein, arXiv
// 1805.02867):
//
//   for each block of positions:
//     for each position: scores = queries . key    // a key is loaded once for
//     for each query head: rescale, weights        // all heads of the group
//     for each position: sums += weights . value   // and so is a value
//   result = sums / total
//
// Vectors run over the head's columns; a last, partial vector is masked.
// Nothing at positions that the row does not attend to is read.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "Strategies.h"
#include "VectorAccess.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace coppice::cpu {
namespace {

/// Below every score, but so that a difference to one does not overflow.
constexpr float kLowest = -1.0e30f;

struct AttentionShape {
  int64_t headDim;
  int64_t kvHeads;
  int64_t group;   // query heads of a KV head
  int64_t block;   // positions of a block
  int64_t lanes;   // f32 of a vector of scores
  int64_t columns; // f32 of a vector of head columns
  int64_t vectors; // vectors of a head; the last may be partial
};

class AttentionEmitter : KernelBuilder {
public:
  AttentionEmitter(ImplicitLocOpBuilder &b, decoder::AttentionOp op,
                   AttentionShape shape, const KernelShell &shell)
      : KernelBuilder(b, shell), op(op), shape(shape),
        headType(VectorType::get(shape.columns, b.getF32Type())),
        scoreType(VectorType::get(shape.lanes, b.getF32Type())) {}

  void emit();

private:
  Value scratch(ArrayRef<int64_t> shape) {
    return onStack(shape, b.getF32Type());
  }
  Value loadIndex(Value tensor, Value row) {
    Value element =
        memref::LoadOp::create(b, argumentOf(tensor), ValueRange{row});
    return arith::IndexCastOp::create(b, b.getIndexType(), element);
  }

  bool isPartial(int64_t vector) {
    return (vector + 1) * shape.columns > shape.headDim;
  }
  Value columnMask();
  Value columnOf(Value head, int64_t vector) {
    return add(arith::MulIOp::create(b, head, index(shape.headDim)),
               index(vector * shape.columns));
  }
  Value loadColumns(Value tensor, ValueRange outer, Value head, int64_t vector);

  void emitItem(Value item);
  void loadQueries(Value row, Value kvHead);
  void emitScores(Value slot, Value kvHead, Value from, Value count);
  void emitWeights(Value count);
  void emitSums(Value slot, Value kvHead, Value from, Value count);
  void storeResult(Value row, Value kvHead);

  decoder::AttentionOp op;
  AttentionShape shape;
  VectorType headType, scoreType;
  /// [group, padded head]: queries times scale; weighted sums of values.
  Value queries, sums;
  /// [group, block]: scores, then weights.
  Value scores;
  /// [group]: the largest score so far; the sum of weights.
  Value largest, totals;
};

Value AttentionEmitter::columnMask() {
  SmallVector<bool> bits(shape.columns);
  int64_t rest = shape.headDim - (shape.vectors - 1) * shape.columns;
  std::fill(bits.begin(), bits.begin() + rest, true);
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(VectorType::get(shape.columns, b.getI1Type()),
                                ArrayRef<bool>(bits)));
}

/// Columns of one head of an operand in f32, zero past the head's end.
Value AttentionEmitter::loadColumns(Value tensor, ValueRange outer, Value head,
                                    int64_t vector) {
  SmallVector<Value> indices(outer);
  indices.push_back(columnOf(head, vector));
  Value mask = isPartial(vector) ? columnMask() : Value();
  Value columns =
      loadVector(b, argumentOf(tensor), getElementTypeOrSelf(tensor),
                 shape.columns, indices, mask);
  return convertFloat(b, columns, b.getF32Type());
}

void AttentionEmitter::emit() {
  int64_t padded = shape.vectors * shape.columns;
  queries = scratch({shape.group, padded});
  sums = scratch({shape.group, padded});
  scores = scratch({shape.group, shape.block});
  largest = scratch({shape.group});
  totals = scratch({shape.group});
  loop(shell.begin, shell.end, 1, [&](Value item) { emitItem(item); });
}

void AttentionEmitter::emitItem(Value item) {
  Value heads = index(shape.kvHeads);
  Value row = arith::DivUIOp::create(b, item, heads);
  Value kvHead = arith::RemUIOp::create(b, item, heads);
  Value slot = loadIndex(op.getSlots(), row);
  Value position = loadIndex(op.getPositions(), row);
  Value end = add(position, index(1));
  Value start = index(0);
  if (std::optional<uint64_t> window = op.getWindow())
    start = arith::MaxSIOp::create(
        b, start, arith::SubIOp::create(b, end, index(*window)));

  loadQueries(row, kvHead);
  loop(start, end, shape.block, [&](Value from) {
    Value count = arith::MinSIOp::create(b, arith::SubIOp::create(b, end, from),
                                         index(shape.block));
    emitScores(slot, kvHead, from, count);
    emitWeights(count);
    emitSums(slot, kvHead, from, count);
  });
  storeResult(row, kvHead);
}

/// Fetches the group's queries, scaled, and clears its sums.
void AttentionEmitter::loadQueries(Value row, Value kvHead) {
  Value first = arith::MulIOp::create(b, kvHead, index(shape.group));
  Value scale = splat(arith::ConstantOp::create(
                          b, b.getFloatAttr(b.getF32Type(), op.getScale())),
                      headType);
  loop(index(0), index(shape.group), 1, [&](Value g) {
    Value head = add(first, g);
    for (int64_t v = 0; v < shape.vectors; ++v) {
      SmallVector<Value> indices{g, index(v * shape.columns)};
      Value query = loadColumns(op.getQuery(), row, head, v);
      vector::StoreOp::create(b, arith::MulFOp::create(b, query, scale),
                              queries, indices);
      vector::StoreOp::create(b, zeros(headType), sums, indices);
    }
    memref::StoreOp::create(b, f32(kLowest), largest, ValueRange{g});
    memref::StoreOp::create(b, f32(0.0f), totals, ValueRange{g});
  });
}

/// scores[g, j] = queries[g] . keys[from + j] for j < count.
void AttentionEmitter::emitScores(Value slot, Value kvHead, Value from,
                                  Value count) {
  // The order of a sum over lanes is the compiler's, but always the same.
  auto anyOrder = arith::FastMathFlags::reassoc;
  loop(index(0), count, 1, [&](Value j) {
    Value position = add(from, j);
    SmallVector<Value> key;
    for (int64_t v = 0; v < shape.vectors; ++v)
      key.push_back(loadColumns(op.getKeys(), {slot, position}, kvHead, v));
    for (int64_t g = 0; g < shape.group; ++g) {
      Value dot = zeros(headType);
      for (int64_t v = 0; v < shape.vectors; ++v) {
        Value query = vector::LoadOp::create(
            b, headType, queries,
            ValueRange{index(g), index(v * shape.columns)});
        dot = vector::FMAOp::create(b, query, key[v], dot);
      }
      Value score = vector::ReductionOp::create(b, vector::CombiningKind::ADD,
                                                dot, anyOrder);
      memref::StoreOp::create(b, score, scores, ValueRange{index(g), j});
    }
  });
}

/// Turns the scores of a block into weights, relative to the largest so far.
void AttentionEmitter::emitWeights(Value count) {
  auto maskType = VectorType::get(shape.lanes, b.getI1Type());
  int64_t pieces = shape.block / shape.lanes;
  auto anyOrder = arith::FastMathFlags::reassoc;
  SmallVector<Value> masks;
  for (int64_t i = 0; i < pieces; ++i)
    masks.push_back(vector::CreateMaskOp::create(
        b, maskType,
        ValueRange{arith::SubIOp::create(b, count, index(i * shape.lanes))}));

  loop(index(0), index(shape.group), 1, [&](Value g) {
    SmallVector<Value> pieceScores;
    Value best = splat(f32(kLowest), scoreType);
    for (int64_t i = 0; i < pieces; ++i) {
      Value score = vector::LoadOp::create(
          b, scoreType, scores, ValueRange{g, index(i * shape.lanes)});
      // What is past the block's end is left over from another block.
      score = arith::SelectOp::create(b, masks[i], score,
                                      splat(f32(kLowest), scoreType));
      pieceScores.push_back(score);
      best = arith::MaximumFOp::create(b, best, score);
    }
    Value before = memref::LoadOp::create(b, largest, ValueRange{g});
    Value now = arith::MaximumFOp::create(
        b, before,
        vector::ReductionOp::create(b, vector::CombiningKind::MAXIMUMF, best));
    memref::StoreOp::create(b, now, largest, ValueRange{g});

    Value total = zeros(scoreType);
    for (int64_t i = 0; i < pieces; ++i) {
      Value weight = math::ExpOp::create(
          b, arith::SubFOp::create(b, pieceScores[i], splat(now, scoreType)));
      weight = arith::SelectOp::create(b, masks[i], weight, zeros(scoreType));
      vector::StoreOp::create(b, weight, scores,
                              ValueRange{g, index(i * shape.lanes)});
      total = arith::AddFOp::create(b, total, weight);
    }
    Value shrink =
        math::ExpOp::create(b, arith::SubFOp::create(b, before, now));
    Value old = memref::LoadOp::create(b, totals, ValueRange{g});
    Value blockTotal = vector::ReductionOp::create(
        b, vector::CombiningKind::ADD, total, anyOrder);
    memref::StoreOp::create(
        b,
        arith::AddFOp::create(b, arith::MulFOp::create(b, old, shrink),
                              blockTotal),
        totals, ValueRange{g});

    Value factor = splat(shrink, headType);
    for (int64_t v = 0; v < shape.vectors; ++v) {
      SmallVector<Value> at{g, index(v * shape.columns)};
      Value sum = vector::LoadOp::create(b, headType, sums, at);
      vector::StoreOp::create(b, arith::MulFOp::create(b, sum, factor), sums,
                              at);
    }
  });
}

/// sums[g] += sum over j < count of weights[g, j] * values[from + j].
void AttentionEmitter::emitSums(Value slot, Value kvHead, Value from,
                                Value count) {
  // As many vectors at a time as leaves the group's sums in registers.
  int64_t width = std::max<int64_t>(1, 16 / shape.group);
  for (int64_t first = 0; first < shape.vectors; first += width) {
    int64_t last = std::min(first + width, shape.vectors);
    SmallVector<Value> carried;
    for (int64_t g = 0; g < shape.group; ++g)
      for (int64_t v = first; v < last; ++v)
        carried.push_back(vector::LoadOp::create(
            b, headType, sums, ValueRange{index(g), index(v * shape.columns)}));

    auto positions = scf::ForOp::create(b, index(0), count, index(1), carried);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToEnd(positions.getBody());
      Value j = positions.getInductionVar();
      Value position = add(from, j);
      SmallVector<Value> value, next;
      for (int64_t v = first; v < last; ++v)
        value.push_back(
            loadColumns(op.getValues(), {slot, position}, kvHead, v));
      for (int64_t g = 0; g < shape.group; ++g) {
        Value weight =
            splat(memref::LoadOp::create(b, scores, ValueRange{index(g), j}),
                  headType);
        for (int64_t v = 0; v < last - first; ++v)
          next.push_back(vector::FMAOp::create(
              b, weight, value[v],
              positions.getRegionIterArg(g * (last - first) + v)));
      }
      scf::YieldOp::create(b, next);
    }

    auto result = positions.getResults().begin();
    for (int64_t g = 0; g < shape.group; ++g)
      for (int64_t v = first; v < last; ++v)
        vector::StoreOp::create(b, *result++, sums,
                                ValueRange{index(g), index(v * shape.columns)});
  }
}

/// Divides by the totals; a row that attended to nothing is 0.
void AttentionEmitter::storeResult(Value row, Value kvHead) {
  Value output = shell.arguments.back();
  Value first = arith::MulIOp::create(b, kvHead, index(shape.group));
  loop(index(0), index(shape.group), 1, [&](Value g) {
    Value head = add(first, g);
    Value total = memref::LoadOp::create(b, totals, ValueRange{g});
    Value any =
        arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, total, f32(0.0f));
    // NaN in the scores makes a NaN total, which is passed on.
    Value share = arith::SelectOp::create(
        b, any, arith::DivFOp::create(b, f32(1.0f), total), f32(0.0f));
    for (int64_t v = 0; v < shape.vectors; ++v) {
      Value sum = vector::LoadOp::create(
          b, headType, sums, ValueRange{g, index(v * shape.columns)});
      storeVector(b, arith::MulFOp::create(b, sum, splat(share, headType)),
                  output, {row, columnOf(head, v)},
                  isPartial(v) ? columnMask() : Value());
    }
  });
}

} // namespace

std::optional<FailureOr<KernelPlan>> planAttention(func::FuncOp kernel,
                                                   const CPUTarget &target) {
  decoder::AttentionOp attention = getOnlyOp<decoder::AttentionOp>(kernel);
  if (!attention)
    return std::nullopt;
  FailureOr<AffineExpr> extent = getArgumentExtent(
      kernel, cast<BlockArgument>(attention.getQuery()).getArgNumber(), 0);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());
  return FailureOr<KernelPlan>(
      KernelPlan::always(kernel,
                         makeConfig(kernel.getContext(), kAttention,
                                    {{"block", 64}, {"lanes", target.lanes()}}),
                         makeGrid(*extent * attention.getKvHeads())));
}

FailureOr<func::FuncOp> emitAttention(func::FuncOp kernel) {
  decoder::AttentionOp attention = getOnlyOp<decoder::AttentionOp>(kernel);
  if (!attention)
    return kernel.emitError("expected one 'decoder.attention' in a kernel of "
                            "strategy \"attention\"");
  FailureOr<int64_t> block = getParameter(kernel, "block");
  FailureOr<int64_t> lanes = getParameter(kernel, "lanes");
  if (failed(block) || failed(lanes))
    return failure();
  if (*lanes <= 0 || *block <= 0 || *block % *lanes)
    return kernel.emitError() << "expected a block of a multiple of " << *lanes
                              << " positions, found " << *block;
  AttentionShape shape;
  shape.headDim = attention.getHeadDim();
  shape.kvHeads = attention.getKvHeads();
  shape.group = attention.getQueryHeads() / shape.kvHeads;
  shape.block = *block;
  shape.lanes = *lanes;
  shape.columns = std::min<int64_t>(*lanes, llvm::PowerOf2Ceil(shape.headDim));
  shape.vectors = llvm::divideCeil(shape.headDim, shape.columns);

  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell =
      createKernelShell(builder, kernel, /*halvesAsBits=*/true);
  if (failed(shell))
    return failure();
  AttentionEmitter(builder, attention, shape, *shell).emit();
  kernel.erase();
  return shell->function;
}

} // namespace coppice::cpu
