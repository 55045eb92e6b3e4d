//===- SelectBlocksKernel.cpp - the blocks that rows attend to ------------===//
//
// In: a kernel that is one `prune.select_blocks`. Out: vector code. A work item
// is one row and one KV head. Where the row is the first of those that choose
// together, the item writes the lists of all of them; else it has nothing to
// do.
//
// Which blocks are the first and the last of those that a row sees follows from
// its position. The others are walked through with the sum of the queries: each
// gets a score, and finds its place among the best so far. Of those the order
// is kept by falling score, and by rising number once all have been seen.
//
// With the weights U and V of a scorer, what keys are multiplied with is V^T U
// of the queries, three parts for what a block's keys are pooled to, each
// padded to whole vectors.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "Strategies.h"
#include "VectorAccess.h"
#include "VectorMath.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

using namespace mlir;

namespace coppice::cpu {
namespace {

class SelectBlocksEmitter : KernelBuilder {
public:
  SelectBlocksEmitter(ImplicitLocOpBuilder &b, const KernelShell &shell,
                      const CPUTarget &target, prune::SelectBlocksOp op)
      : KernelBuilder(b, shell), math(b, target), op(op),
        size(static_cast<int64_t>(op.getBlockSize())),
        recent(static_cast<int64_t>(op.getRecent())),
        first(static_cast<int64_t>(op.getFirst())),
        top(static_cast<int64_t>(op.getTop())), perHead(op.getBlocksPerHead()),
        kvHeads(op.getKvHeads()), lanes(math.lanes()) {}

  void emit() {
    rows = memref::DimOp::create(b, argumentOf(op.getPositions()), 0);
    if (top) {
      headDim = op.getHeadDimAttr().getInt();
      group = cast<ShapedType>(op.getQuery().getType()).getDimSize(1) /
              (kvHeads * headDim);
      padded = static_cast<int64_t>(llvm::alignTo(headDim, lanes));
      query = onStack((rank() ? 3 : 1) * padded, b.getF32Type());
      scores = onStack({top}, b.getF32Type());
      chosen = onStack({top}, b.getIndexType());
    }
    loop(shell.begin, shell.end, 1, [&](Value item) {
      Value row = div(item, kvHeads), kvHead = rem(item, kvHeads);
      Value block = blockOf(row);
      ifTrue(isFirst(row, block),
             [&] { writeLists(row, endOfRows(row, block), block, kvHead); });
    });
  }

private:
  using Predicate = arith::CmpIPredicate;

  Value compare(Predicate predicate, Value lhs, Value rhs) {
    return arith::CmpIOp::create(b, predicate, lhs, rhs);
  }
  Value select(Value condition, Value yes, Value no) {
    return arith::SelectOp::create(b, condition, yes, no);
  }
  Value both(Value lhs, Value rhs) {
    return arith::AndIOp::create(b, lhs, rhs);
  }
  Value either(Value lhs, Value rhs) {
    return arith::OrIOp::create(b, lhs, rhs);
  }
  void ifTrue(Value condition, llvm::function_ref<void()> body) {
    auto branch = scf::IfOp::create(b, condition);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    body();
  }
  /// `body` if the condition holds, else `other`.
  Value choose(Value condition, Value other, llvm::function_ref<Value()> body) {
    auto branch = scf::IfOp::create(b, TypeRange(other.getType()), condition,
                                    /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(b, body());
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, other);
    return branch.getResult(0);
  }
  Value loadIndex(Value tensor, Value row) {
    return arith::IndexCastOp::create(
        b, b.getIndexType(),
        memref::LoadOp::create(b, argumentOf(tensor), ValueRange{row}));
  }

  /// The block of a row's own position; -1 for a row without one.
  Value blockOf(Value row) {
    Value position = loadIndex(op.getPositions(), row);
    return select(compare(Predicate::slt, position, index(0)), index(-1),
                  div(max(position, index(0)), size));
  }
  /// Do these rows choose together, given that they follow one another?
  Value isSame(Value row, Value other, Value block) {
    return both(compare(Predicate::eq, loadIndex(op.getSlots(), row),
                        loadIndex(op.getSlots(), other)),
                compare(Predicate::eq, blockOf(other), block));
  }
  Value isFirst(Value row, Value block) {
    Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
    return choose(compare(Predicate::sgt, row, index(0)), yes, [&]() -> Value {
      return arith::XOrIOp::create(b, isSame(row, sub(row, index(1)), block),
                                   yes);
    });
  }

  Value endOfRows(Value row, Value block);
  void writeLists(Value row, Value end, Value block, Value kvHead);
  void chooseTop(Value row, Value kvHead, Value from, Value count);
  void sumQueries(Value row, Value kvHead);
  void multiplyWeights(Value row, Value kvHead);
  Value scoreOf(Value row, Value kvHead, Value block);
  Value scoreOfPooled(Value row, Value kvHead, Value block);
  int64_t rank() { return op.getScorerRank(); }
  /// A vector of `memory`, `count` elements of it at the most, as f32.
  Value loadFloats(Value tensor, ValueRange at, int64_t count) {
    return convertFloat(b,
                        loadVector(b, argumentOf(tensor),
                                   getElementTypeOrSelf(tensor.getType()),
                                   lanes, at, mask(count, lanes)),
                        b.getF32Type());
  }
  void insert(Value block, Value score);
  void sortChosen(Value count);

  VectorMath math;
  prune::SelectBlocksOp op;
  int64_t size, recent, first, top, perHead, kvHeads, lanes;
  int64_t headDim = 0, group = 0, padded = 0;
  Value rows;
  Value query;          // [padded]: the sum of the group's queries; or 3 of it
  Value scores, chosen; // [top]: the best blocks so far, -1: none
};

/// Behind the last of the rows that choose with `row`.
Value SelectBlocksEmitter::endOfRows(Value row, Value block) {
  Type type = b.getIndexType();
  auto walk = scf::WhileOp::create(b, TypeRange{type}, ValueRange{add(row, 1)});
  OpBuilder::InsertionGuard guard(b);
  Block *before = b.createBlock(&walk.getBefore(), {}, {type}, {b.getLoc()});
  Value next = before->getArgument(0);
  Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
  Value isLast = choose(compare(Predicate::slt, next, rows), no,
                        [&] { return isSame(row, next, block); });
  scf::ConditionOp::create(b, isLast, next);
  Block *after = b.createBlock(&walk.getAfter(), {}, {type}, {b.getLoc()});
  scf::YieldOp::create(b, add(after->getArgument(0), 1));
  return walk.getResult(0);
}

/// Writes the list of `kvHead` of the rows [row, end), whose own block is
/// `own`.
void SelectBlocksEmitter::writeLists(Value row, Value end, Value own,
                                     Value kvHead) {
  Value zero = index(0), from = zero;
  if (std::optional<uint64_t> window = op.getWindow()) {
    Value position = loadIndex(op.getPositions(), row);
    from = div(
        max(sub(add(position, 1), index(static_cast<int64_t>(*window))), zero),
        size);
  }
  Value count = max(sub(add(own, 1), from), zero);
  Value open = max(sub(count, index(first + recent)), zero);
  Value taken = min(open, index(top));
  if (top)
    ifTrue(compare(Predicate::sgt, taken, zero), [&] {
      chooseTop(row, kvHead, add(from, first), open);
      sortChosen(taken);
    });
  Value listed = add(min(count, index(first + recent)), taken);
  loop(zero, index(perHead), 1, [&](Value place) {
    Value scored = sub(place, index(first));
    // The last blocks come behind all that scores were asked about.
    Value skipped =
        select(compare(Predicate::slt, scored, zero), zero, sub(open, taken));
    Value block = add(add(from, place), skipped);
    if (top)
      block =
          choose(both(compare(Predicate::sge, scored, zero),
                      compare(Predicate::slt, scored, taken)),
                 block, [&]() -> Value {
                   return memref::LoadOp::create(b, chosen, ValueRange{scored});
                 });
    block = select(compare(Predicate::slt, place, listed), block, index(-1));
    Value element = arith::IndexCastOp::create(b, b.getI32Type(), block);
    loop(row, end, 1, [&](Value each) {
      memref::StoreOp::create(
          b, element, shell.arguments.back(),
          ValueRange{each, add(mul(kvHead, perHead), place)});
    });
  });
}

/// Leaves the best of the blocks [from, from + count) in `chosen`.
void SelectBlocksEmitter::chooseTop(Value row, Value kvHead, Value from,
                                    Value count) {
  if (rank())
    multiplyWeights(row, kvHead);
  else
    sumQueries(row, kvHead);
  loop(index(0), index(top), 1, [&](Value place) {
    memref::StoreOp::create(b, index(-1), chosen, ValueRange{place});
    memref::StoreOp::create(b, f32(0), scores, ValueRange{place});
  });
  loop(from, add(from, count), 1, [&](Value block) {
    insert(block, rank() ? scoreOfPooled(row, kvHead, block)
                         : scoreOf(row, kvHead, block));
  });
}

void SelectBlocksEmitter::sumQueries(Value row, Value kvHead) {
  Value memory = argumentOf(op.getQuery());
  Type storage = getElementTypeOrSelf(op.getQuery().getType());
  Value start = mul(kvHead, group * headDim);
  for (int64_t d = 0; d < headDim; d += lanes) {
    ValueRange sum =
        loop(index(0), index(group), 1, zeros(math.f32s()),
             [&](Value head, ValueRange carried) -> SmallVector<Value> {
               Value column = add(add(start, mul(head, headDim)), d);
               Value part = convertFloat(b,
                                         loadVector(b, memory, storage, lanes,
                                                    {row, column},
                                                    mask(headDim - d, lanes)),
                                         b.getF32Type());
               return {arith::AddFOp::create(b, carried[0], part)};
             });
    vector::StoreOp::create(b, sum[0], query, ValueRange{index(d)});
  }
}

/// query = V^T (U q), one row of U and of V after the other.
void SelectBlocksEmitter::multiplyWeights(Value row, Value kvHead) {
  int64_t width = group * headDim;
  loop(index(0), index(3 * padded), lanes, [&](Value at) {
    vector::StoreOp::create(b, zeros(math.f32s()), query, ValueRange{at});
  });
  loop(index(0), index(rank()), 1, [&](Value i) {
    Value line = add(mul(kvHead, rank()), i), sum = zeros(math.f32s());
    auto addAt = [&](Value at, int64_t count, Value sum) -> Value {
      return vector::FMAOp::create(
          b, loadFloats(op.getQueryWeight(), {line, at}, count),
          loadFloats(op.getQuery(), {row, add(mul(kvHead, width), at)}, count),
          sum);
    };
    int64_t whole = width / lanes * lanes;
    sum = loop(index(0), index(whole), lanes, sum,
               [&](Value at, ValueRange carried) -> SmallVector<Value> {
                 return {addAt(at, lanes, carried[0])};
               })[0];
    if (whole < width)
      sum = addAt(index(whole), width - whole, sum);
    Value factor = math.sumOfLanes(sum);
    for (int64_t part = 0; part < 3; ++part)
      for (int64_t d = 0; d < headDim; d += lanes) {
        Value weight = loadFloats(
            op.getKeyWeight(), {line, index(part * headDim + d)}, headDim - d);
        Value at = index(part * padded + d);
        Value before =
            vector::LoadOp::create(b, math.f32s(), query, ValueRange{at});
        vector::StoreOp::create(
            b, vector::FMAOp::create(b, weight, factor, before), query,
            ValueRange{at});
      }
  });
}

/// The product with the mean, the largest and the smallest keys of a block.
Value SelectBlocksEmitter::scoreOfPooled(Value row, Value kvHead, Value block) {
  Value slot = loadIndex(op.getSlots(), row), start = mul(block, size);
  constexpr float infinity = std::numeric_limits<float>::infinity();
  auto splatOf = [&](float value) -> Value {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(math.f32s(), value));
  };
  Value all = zeros(math.f32s());
  for (int64_t d = 0; d < headDim; d += lanes) {
    SmallVector<Value> none{zeros(math.f32s()), splatOf(-infinity),
                            splatOf(infinity)};
    ValueRange pooled =
        loop(start, add(start, size), 1, none,
             [&](Value position, ValueRange carried) -> SmallVector<Value> {
               Value key = loadFloats(
                   op.getKeys(), {slot, position, add(mul(kvHead, headDim), d)},
                   headDim - d);
               return {arith::AddFOp::create(b, carried[0], key),
                       arith::MaximumFOp::create(b, carried[1], key),
                       arith::MinimumFOp::create(b, carried[2], key)};
             });
    SmallVector<Value> pools(pooled);
    pools[0] = arith::MulFOp::create(b, pools[0],
                                     splatOf(1 / static_cast<float>(size)));
    for (auto [part, pool] : llvm::enumerate(pools)) {
      Value factor = vector::LoadOp::create(
          b, math.f32s(), query,
          ValueRange{index(static_cast<int64_t>(part) * padded + d)});
      all = vector::FMAOp::create(b, pool, factor, all);
    }
  }
  return vector::ExtractOp::create(b, math.sumOfLanes(all), 0);
}

/// The queries' product with all keys of a block.
Value SelectBlocksEmitter::scoreOf(Value row, Value kvHead, Value block) {
  Value memory = argumentOf(op.getKeys());
  Type storage = getElementTypeOrSelf(op.getKeys().getType());
  Value slot = loadIndex(op.getSlots(), row), start = mul(block, size);
  Value column = mul(kvHead, headDim);
  constexpr int64_t kSums = 4; // side by side
  SmallVector<Value> none(kSums, zeros(math.f32s()));
  ValueRange sums =
      loop(start, add(start, size), 1, none,
           [&](Value position, ValueRange carried) {
             SmallVector<Value> next(carried);
             for (int64_t d = 0; d < headDim; d += lanes) {
               Value key =
                   convertFloat(b,
                                loadVector(b, memory, storage, lanes,
                                           {slot, position, add(column, d)},
                                           mask(headDim - d, lanes)),
                                b.getF32Type());
               Value part = vector::LoadOp::create(b, math.f32s(), query,
                                                   ValueRange{index(d)});
               Value &sum = next[d / lanes % kSums];
               sum = vector::FMAOp::create(b, key, part, sum);
             }
             return next;
           });
  Value all =
      arith::AddFOp::create(b, arith::AddFOp::create(b, sums[0], sums[1]),
                            arith::AddFOp::create(b, sums[2], sums[3]));
  return vector::ExtractOp::create(b, math.sumOfLanes(all), 0);
}

/// Puts a block behind all that have no smaller score; what falls off the end
/// is forgotten. Blocks come in ascending order, so of equal ones the first
/// stay.
void SelectBlocksEmitter::insert(Value block, Value score) {
  using Float = arith::CmpFPredicate;
  auto isNaN = [&](Value value) -> Value {
    return arith::CmpFOp::create(b, Float::UNO, value, value);
  };
  Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
  loop(index(0), index(top), 1, ValueRange{block, score, no},
       [&](Value place, ValueRange carried) -> SmallVector<Value> {
         Value there = memref::LoadOp::create(b, chosen, ValueRange{place}),
               theirs = memref::LoadOp::create(b, scores, ValueRange{place});
         Value isLarger =
             either(arith::CmpFOp::create(b, Float::OGT, carried[1], theirs),
                    select(isNaN(theirs), no, isNaN(carried[1])));
         Value isFree = compare(Predicate::slt, there, index(0));
         // Once one has made room, all behind it move on.
         Value moves = either(carried[2], either(isFree, isLarger));
         memref::StoreOp::create(b, select(moves, carried[0], there), chosen,
                                 ValueRange{place});
         memref::StoreOp::create(b, select(moves, carried[1], theirs), scores,
                                 ValueRange{place});
         return {select(moves, there, carried[0]),
                 select(moves, theirs, carried[1]), moves};
       });
}

/// Puts the first `count` of the chosen blocks in ascending order.
void SelectBlocksEmitter::sortChosen(Value count) {
  loop(index(0), count, 1, [&](Value place) {
    loop(add(place, 1), count, 1, [&](Value other) {
      Value mine = memref::LoadOp::create(b, chosen, ValueRange{place}),
            theirs = memref::LoadOp::create(b, chosen, ValueRange{other});
      memref::StoreOp::create(b, min(mine, theirs), chosen, ValueRange{place});
      memref::StoreOp::create(b, max(mine, theirs), chosen, ValueRange{other});
    });
  });
}

} // namespace

std::optional<FailureOr<KernelPlan>> planSelectBlocks(func::FuncOp kernel) {
  auto op = getOnlyOp<prune::SelectBlocksOp>(kernel);
  if (!op)
    return std::nullopt;
  FailureOr<AffineExpr> rows = getArgumentExtent(
      kernel, cast<BlockArgument>(op.getPositions()).getArgNumber(), 0);
  if (failed(rows))
    return FailureOr<KernelPlan>(failure());
  return FailureOr<KernelPlan>(KernelPlan::always(
      kernel, makeConfig(kernel.getContext(), kSelectBlocks, {}),
      makeGrid(*rows * op.getKvHeads())));
}

FailureOr<func::FuncOp> emitSelectBlocks(func::FuncOp kernel,
                                         const CPUTarget &target) {
  auto op = getOnlyOp<prune::SelectBlocksOp>(kernel);
  if (!op)
    return kernel.emitError("expected one 'prune.select_blocks' in a kernel of "
                            "strategy \"select_blocks\"");
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell =
      createKernelShell(builder, kernel, /*halvesAsBits=*/true);
  if (failed(shell))
    return failure();
  SelectBlocksEmitter(builder, *shell, target, op).emit();
  kernel.erase();
  return shell->function;
}

} // namespace coppice::cpu
