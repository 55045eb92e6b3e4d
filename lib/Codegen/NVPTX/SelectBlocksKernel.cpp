//===- SelectBlocksKernel.cpp - the blocks that rows attend to, on a GPU --===//
//
// In: a kernel that is one `prune.select_blocks`. Out: a block of threads does
// the work of one row and one KV head: where the row is the first of those that
// choose together, it writes the lists of all of them; else it ends at once.
//
// Which blocks are the first and the last of those that a row sees follows from
// its position. The others are scored (BlockScores.h), some at a time, into
// shared memory, behind the best so far; whenever there are more than are
// taken, all but the best are dropped. That needs no sorting: scores as
// integers that are ordered like them are cut at a value, found bit by bit, and
// what lies above it is compacted, as many of those equal to it as there is
// room for. Order is that of the blocks throughout, so of equal ones the first
// stay, and what is left in the end is the list.
//
//===----------------------------------------------------------------------===//

#include "BlockScores.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

constexpr int64_t kThreads = 128;
/// Blocks that are scored between two choices.
constexpr int64_t kBlocksAtATime = 1024;

class SelectBlocksEmitter : KernelBuilder {
public:
  SelectBlocksEmitter(ImplicitLocOpBuilder &b, KernelShell &shell,
                      prune::SelectBlocksOp op)
      : KernelBuilder(b, shell), op(op),
        size(static_cast<int64_t>(op.getBlockSize())),
        recent(static_cast<int64_t>(op.getRecent())),
        first(static_cast<int64_t>(op.getFirst())),
        top(static_cast<int64_t>(op.getTop())), perHead(op.getBlocksPerHead()),
        kvHeads(op.getKvHeads()) {}

  void emit() {
    rows = extentOf(op.getPositions(), 0);
    // Two of each, so that a barrier lies between two uses of one.
    for (Value &each : scratch)
      each = allocateShared(shell.threads / 32 * 4);
    if (top) {
      BlockScores scores(b, shell, op);
      int64_t bytes =
          std::max(8 * (top + kBlocksAtATime), scores.scratchBytes());
      query = allocateShared(scores.queryBytes());
      keys = allocateShared(bytes);
      numbers = at(keys, 4 * (top + kBlocksAtATime));
    }
    forEachItem([&](Value item) {
      Value row = div(item, kvHeads), kvHead = rem(item, kvHeads);
      ifThen(isLeader(row), [&] {
        if (top) {
          chooseTop(row, kvHead);
          barrier();
        }
        writeLists(row, kvHead);
        barrier(); // shared memory is used again
      });
    });
  }

private:
  using Predicate = arith::CmpIPredicate;

  Value loadNumber(Value list, Value index) {
    return load(b.getI32Type(), at(list, mul(index, 4)));
  }
  /// The block of a row's own position; -1 for a row without one.
  Value blockOf(Value row) {
    Value position = loadElement(op.getPositions(), row);
    Value none = i32(0);
    return select(less(position, none), i32(-1),
                  div(max(position, none), size));
  }
  /// Do these rows choose together, given that they follow one another?
  Value isSame(Value row, Value other, Value block) {
    return both(equal(loadElement(op.getSlots(), row),
                      loadElement(op.getSlots(), other)),
                equal(blockOf(other), block));
  }
  Value isLeader(Value row) {
    Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
    return ifThen(less(i32(0), row), yes, [&]() -> SmallVector<Value> {
      return {exclusive(isSame(row, sub(row, i32(1)), blockOf(row)), yes)};
    })[0];
  }
  /// What a row sees, by its position, which is read anew: numbers that live
  /// as long as a choice takes would cost registers all the while.
  struct Seen {
    Value from;   // the first block
    Value listed; // blocks that are listed
    Value open;   // those that scores decide about
    Value taken;  // how many of these are listed
  };
  Seen seenBy(Value row);
  Value endOfRows(Value row);
  void writeLists(Value row, Value kvHead);
  void chooseTop(Value row, Value kvHead);
  Value orderedKey(Value score);
  Value countInBlock(Value count, int64_t which);
  Value findCut(Value count);
  void dropAllButTop(Value count);

  prune::SelectBlocksOp op;
  int64_t size, recent, first, top, perHead, kvHeads;
  Value rows;
  Value scratch[2];    // for what the threads of the block add up
  Value query;         // what keys are multiplied with
  Value keys, numbers; // scores, ordered as integers, and blocks
};

SelectBlocksEmitter::Seen SelectBlocksEmitter::seenBy(Value row) {
  Value none = i32(0), from = none;
  Value own = blockOf(row);
  if (std::optional<uint64_t> window = op.getWindow()) {
    Value position = loadElement(op.getPositions(), row);
    from = div(max(sub(position, i32(static_cast<int64_t>(*window) - 1)), none),
               size);
  }
  Value count = max(sub(add(own, 1), from), none);
  Value open = max(sub(count, i32(first + recent)), none);
  Value taken = min(open, i32(top));
  return {from, add(min(count, i32(first + recent)), taken), open, taken};
}

/// Behind the last of the rows that choose with `row`: a piece of as many rows
/// as there are threads after the other.
Value SelectBlocksEmitter::endOfRows(Value row) {
  Value none = i32(std::numeric_limits<int32_t>::max()), block = blockOf(row);
  auto walk = scf::WhileOp::create(
      b, TypeRange{b.getI32Type(), b.getI32Type()}, ValueRange{add(row, 1)},
      [&](OpBuilder &, Location, ValueRange carried) {
        Value mine = add(carried[0], thread());
        Value belongs = ifThen(less(mine, rows), zero(b.getI1Type()),
                               [&]() -> SmallVector<Value> {
                                 return {isSame(row, mine, block)};
                               })[0];
        Value end = reduceBlock(select(belongs, none, mine), scratch[0],
                                [&](Value x, Value y) { return min(x, y); });
        barrier();
        scf::ConditionOp::create(b, equal(end, none),
                                 ValueRange{carried[0], end});
      },
      [&](OpBuilder &, Location, ValueRange carried) {
        scf::YieldOp::create(b, add(carried[0], shell.threads));
      });
  return walk.getResult(1);
}

/// Writes the list of `kvHead` of the rows that choose with `row`.
void SelectBlocksEmitter::writeLists(Value row, Value kvHead) {
  Seen seen = seenBy(row);
  Value isChoice = less(seen.taken, seen.open); // else all are taken, or none
  Value written = mul(sub(endOfRows(row), row), perHead);
  loop(thread(), written, shell.threads, [&](Value each) {
    Value place = rem(each, perHead);
    Value scored = sub(place, i32(first)), none = i32(0);
    // The last blocks come behind all that scores were asked about.
    Value skipped =
        select(less(scored, none), none, sub(seen.open, seen.taken));
    Value block = add(add(seen.from, place), skipped);
    if (top) {
      Value isScored =
          both(compare(Predicate::sge, scored, none), less(scored, seen.taken));
      block =
          ifThen(both(isScored, isChoice), block, [&]() -> SmallVector<Value> {
            return {loadNumber(numbers, scored)};
          })[0];
    }
    block = select(less(place, seen.listed), block, i32(-1));
    store(block, at(shell.arguments.back(), b.getI32Type(),
                    add(row, div(each, perHead)), i32(kvHeads * perHead),
                    add(mul(kvHead, perHead), place)));
  });
}

/// Leaves the best of the blocks that scores decide about in `numbers`, unless
/// all of them are taken.
void SelectBlocksEmitter::chooseTop(Value row, Value kvHead) {
  Seen seen = seenBy(row);
  Value from = add(seen.from, first), count = seen.open;
  ifThen(less(i32(top), count), [&] {
    BlockScores scores(b, shell, op);
    scores.makeQuery(row, kvHead, query, keys);
    Value slot = loadElement(op.getSlots(), row);
    loop(i32(0), count, i32(kBlocksAtATime), i32(0),
         [&](Value begin, ValueRange carried) -> SmallVector<Value> {
           Value held = carried[0];
           Value now = min(sub(count, begin), i32(kBlocksAtATime));
           loop(warp(), now, shell.threads / 32, [&](Value each) {
             Value block = add(from, add(begin, each));
             Value score = scores.score(slot, kvHead, block, query);
             ifThen(equal(lane(), i32(0)), [&] {
               Value place = mul(add(held, each), 4);
               store(orderedKey(score), at(keys, place));
               store(block, at(numbers, place));
             });
           });
           barrier();
           Value all = add(held, now);
           ifThen(less(i32(top), all), [&] { dropAllButTop(all); });
           return {min(all, i32(top))};
         });
  });
}

/// An unsigned number that is larger where the score is; of NaN the largest.
Value SelectBlocksEmitter::orderedKey(Value score) {
  using Float = arith::CmpFPredicate;
  Value isNaN = compare(Float::UNO, score, score);
  // 0 and -0 are equal.
  score = select(compare(Float::OEQ, score, f32(0)), f32(0), score);
  Value bits = arith::BitcastOp::create(b, b.getI32Type(), score);
  Value key = select(less(bits, i32(0)), exclusive(bits, i32(-1)),
                     either(bits, i32(std::numeric_limits<int32_t>::min())));
  return select(isNaN, i32(-1), key);
}

/// The sum of a number of each thread.
Value SelectBlocksEmitter::countInBlock(Value count, int64_t which) {
  return reduceBlock(count, scratch[which],
                     [&](Value x, Value y) { return add(x, y); });
}

/// The largest value that at least `top` of the first `count` keys are not
/// below: bit by bit, from the highest.
Value SelectBlocksEmitter::findCut(Value count) {
  auto withBit = [&](Value cut, Value bit, int64_t which) {
    Value next = either(cut, bit);
    Value mine =
        loop(thread(), count, i32(shell.threads), i32(0),
             [&](Value each, ValueRange carried) -> SmallVector<Value> {
               Value isAbove =
                   compare(Predicate::uge, loadNumber(keys, each), next);
               return {add(carried[0],
                           arith::ExtUIOp::create(b, b.getI32Type(), isAbove))};
             })[0];
    Value isEnough =
        compare(Predicate::sge, countInBlock(mine, which), i32(top));
    return select(isEnough, next, cut);
  };
  // Two bits at a time, for the two memories that counts are added up in.
  return loop(i32(0), i32(32), i32(2), i32(0),
              [&](Value done, ValueRange carried) -> SmallVector<Value> {
                Value high = arith::ShRUIOp::create(
                    b, i32(std::numeric_limits<int32_t>::min()), done);
                Value low = arith::ShRUIOp::create(b, high, i32(1));
                return {withBit(withBit(carried[0], high, 0), low, 1)};
              })[0];
}

/// Of the first `count` keys and numbers leaves the best, in their order.
void SelectBlocksEmitter::dropAllButTop(Value count) {
  Value cut = findCut(count);
  Value mine =
      loop(thread(), count, i32(shell.threads), i32(0),
           [&](Value each, ValueRange carried) -> SmallVector<Value> {
             Value isAbove =
                 compare(Predicate::ugt, loadNumber(keys, each), cut);
             return {add(carried[0],
                         arith::ExtUIOp::create(b, b.getI32Type(), isAbove))};
           })[0];
  Value room = sub(i32(top), countInBlock(mine, 0)); // for those equal to it
  barrier();
  loop(i32(0), count, i32(shell.threads), ValueRange{i32(0), i32(0)},
       [&](Value begin, ValueRange carried) -> SmallVector<Value> {
         Value each = add(begin, thread());
         Value isThere = less(each, count), no = zero(b.getI1Type());
         auto read = ifThen(
             isThere, ValueRange{i32(0), i32(0)}, [&]() -> SmallVector<Value> {
               return {loadNumber(keys, each), loadNumber(numbers, each)};
             });
         Value key = read[0], number = read[1];
         Value isEqual = select(isThere, equal(key, cut), no);
         auto [equalBefore, equals] = countKept(isEqual, scratch[0]);
         Value fits = less(add(carried[0], equalBefore), room);
         Value isAbove = select(isThere, compare(Predicate::ugt, key, cut), no);
         Value isKept = either(isAbove, both(isEqual, fits));
         auto [keptBefore, kept] = countKept(isKept, scratch[1]);
         // Everybody has read its own, and places are not behind it.
         Value place = mul(add(carried[1], keptBefore), 4);
         ifThen(isKept, [&] {
           store(key, at(keys, place));
           store(number, at(numbers, place));
         });
         return {add(carried[0], equals), add(carried[1], kept)};
       });
  barrier();
}

} // namespace

PlanOrNone planSelectBlocks(func::FuncOp kernel) {
  auto op = getOnlyOp<prune::SelectBlocksOp>(kernel);
  if (!op)
    return std::nullopt;
  FailureOr<AffineExpr> rows = getArgumentExtent(
      kernel, cast<BlockArgument>(op.getPositions()).getArgNumber(), 0);
  if (failed(rows))
    return FailureOr<KernelPlan>(failure());
  return FailureOr<KernelPlan>(planAlways(
      kernel,
      makeConfig(kernel.getContext(), kSelectBlocks, {{"threads", kThreads}}),
      makeGrid(*rows * op.getKvHeads())));
}

LogicalResult emitSelectBlocks(func::FuncOp kernel) {
  auto op = getOnlyOp<prune::SelectBlocksOp>(kernel);
  if (!op)
    return kernel.emitError("expected one 'prune.select_blocks' in a kernel of "
                            "strategy \"select_blocks\"");
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  SelectBlocksEmitter(builder, *shell, op).emit();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
