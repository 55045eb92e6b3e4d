//===- SelectBlocksKernel.cpp - the blocks that rows attend to, on a GPU --===//
//
// In: a kernel that is one `prune.select_blocks`. Out: a block of threads does
// the work of one row and one KV head: where the row is the first of those that
// choose together, it writes the lists of all of them; else it ends at once.
//
// Which blocks are the first and the last of those that a row sees follows from
// its position. The others have been scored by a stage before this one
// (ScoreBlocksKernel.cpp), which cuts its work in another way. Their scores are
// read, some at a time, into shared memory, behind the best so far; whenever
// there are more than are taken, all but the best are dropped. That needs no
// sorting: scores as integers that are ordered like them are cut at a value,
// found bit by bit, and what lies above it is compacted, as many of those equal
// to it as there is room for. Order is that of the blocks throughout, so of
// equal ones the first stay, and what is left in the end is the list.
//
//===----------------------------------------------------------------------===//

#include "SeenBlocks.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

constexpr int64_t kThreads = 128;
/// Blocks whose scores are read between two choices.
constexpr int64_t kBlocksAtATime = 1024;
/// Blocks that a work item of the first stage scores: few where there are no
/// more rows than that, so that one row that has seen a lot keeps all of the
/// GPU busy; else many, for most rows of a prompt choose nothing.
constexpr int64_t kFewRows = 64, kBlocksOfFew = 8, kBlocksOfMany = 256;

class SelectBlocksEmitter : SeenBlocks {
public:
  SelectBlocksEmitter(ImplicitLocOpBuilder &b, KernelShell &shell,
                      prune::SelectBlocksOp op)
      : SeenBlocks(b, shell, op), perHead(op.getBlocksPerHead()) {}

  void emit() {
    rows = extentOf(op.getPositions(), 0);
    // Two of each, so that a barrier lies between two uses of one.
    for (Value &each : scratch)
      each = allocateShared(shell.threads / 32 * 4);
    if (top) {
      keys = allocateShared(4 * (top + kBlocksAtATime));
      numbers = allocateShared(4 * (top + kBlocksAtATime));
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
  Value endOfRows(Value row);
  void writeLists(Value row, Value kvHead);
  void chooseTop(Value row, Value kvHead);
  Value countInBlock(Value count, int64_t which);
  Value findCut(Value count);
  void dropAllButTop(Value count);

  int64_t perHead;
  Value rows;
  Value scratch[2];    // for what the threads of the block add up
  Value keys, numbers; // scores, ordered as integers, and blocks
};

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
  Value count = seenBy(row).open;
  ifThen(less(i32(top), count), [&] {
    loop(i32(0), count, i32(kBlocksAtATime), i32(0),
         [&](Value begin, ValueRange carried) -> SmallVector<Value> {
           Value held = carried[0], from = add(seenBy(row).from, first);
           Value now = min(sub(count, begin), i32(kBlocksAtATime));
           Value scores = scoresOf(row, kvHead);
           loop(thread(), now, shell.threads, [&](Value each) {
             Value number = add(begin, each), place = mul(add(held, each), 4);
             store(loadNumber(scores, number), at(keys, place));
             store(add(from, number), at(numbers, place));
           });
           barrier();
           Value all = add(held, now);
           ifThen(less(i32(top), all), [&] { dropAllButTop(all); });
           return {min(all, i32(top))};
         });
  });
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
  auto extentOf = [&](Value tensor, unsigned dim) {
    return getArgumentExtent(kernel, cast<BlockArgument>(tensor).getArgNumber(),
                             dim);
  };
  FailureOr<AffineExpr> rows = extentOf(op.getPositions(), 0);
  if (failed(rows))
    return FailureOr<KernelPlan>(failure());
  MLIRContext *context = kernel.getContext();
  KernelPlan plan = planAlways(
      kernel, makeConfig(context, kSelectBlocks, {{"threads", kThreads}}),
      makeGrid(*rows * op.getKvHeads()));
  if (!op.getQuery())
    return FailureOr<KernelPlan>(plan);

  FailureOr<AffineExpr> positions = extentOf(op.getKeys(), 1);
  if (failed(positions))
    return FailureOr<KernelPlan>(failure());
  auto size = static_cast<int64_t>(op.getBlockSize());
  KernelStage choice = plan.variants.front().stages.front();
  auto variant = [&](StringRef suffix, int64_t blocks, AffineExpr mostRows) {
    KernelVariant made;
    made.stages.push_back(
        {makeConfig(context, kScoreBlocks,
                    {{"threads", kThreads}, {"blocks", blocks}}),
         makeGrid(*rows * op.getKvHeads() * positions->ceilDiv(size * blocks)),
         suffix.str()});
    // Of its own: the workspace differs.
    choice.suffix = suffix.str() + "_chosen";
    made.stages.push_back(choice);
    made.workspace =
        makeGrid(mostRows * op.getKvHeads() * positions->ceilDiv(size) * 4);
    return made;
  };
  KernelVariant few = variant("scores_of_few", kBlocksOfFew,
                              getAffineConstantExpr(kFewRows, context));
  few.guard = makeGrid(kFewRows + 1 - *rows);
  plan.variants = {few, variant("scores", kBlocksOfMany, *rows)};
  return FailureOr<KernelPlan>(plan);
}

LogicalResult emitSelectBlocks(func::FuncOp kernel) {
  auto op = getOnlyOp<prune::SelectBlocksOp>(kernel);
  if (!op)
    return kernel.emitError("expected one 'prune.select_blocks' in a kernel of "
                            "strategy \"select_blocks\"");
  if (op.getQuery() && !kernel->hasAttr(exec::workspaceAttrName))
    return kernel.emitError()
           << "expected '" << exec::workspaceAttrName
           << "', for scores, on a kernel of strategy \"select_blocks\"";
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  SelectBlocksEmitter(builder, *shell, op).emit();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
