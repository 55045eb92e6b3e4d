//===- AttentionKernel.cpp - causal attention over a KV cache -------------===//
//
// In: a kernel that is one `decoder.attention`. Out: vector code.
//
// "attention": a work item is a block of rows and one KV head, with all query
// heads that share it. The step is a bag of rows, so the item looks for runs in
// its block: rows of one slot at consecutive positions. A run attends as one
// matrix (AttentionRun.h). Any order of the rows is right; a prompt's own order
// is fast. (Where heads have lists of rows of their own, the blocks are those
// of their lists.) Causal work grows with the position, so the last blocks come
// first: what is left for the end is small.
//
// "attention_split", then "attention_merge", for few rows: a work item is one
// row and one of `splits` chunks of the positions that the row attends to; what
// it finds goes to the workspace, and the second stage, whose work items are
// one row and one KV head, adds up the chunks. How long a chunk is depends on
// the row alone.
//
// With a threshold, positions are not cut into chunks: what is dropped depends
// on all that comes before.
//
// With lists of blocks, chunks are parts of the lists, so that each has work to
// do, and a work item is one KV head: heads that want different blocks have
// nothing to read together.
//
//===----------------------------------------------------------------------===//

#include "AttentionRun.h"
#include "Strategies.h"
#include "coppice/Dialect/Exec/IR/Exec.h"

using namespace mlir;

namespace coppice::cpu {
namespace {

//===----------------------------------------------------------------------===//
// Blocks of rows
//===----------------------------------------------------------------------===//

class PrefillEmitter : AttentionBuilder {
public:
  PrefillEmitter(ImplicitLocOpBuilder &b, const KernelShell &shell,
                 const CPUTarget &target, decoder::AttentionOp op, int64_t rows,
                 int64_t keys)
      : AttentionBuilder(b, shell, target, op), rows(rows),
        attention(b, shell, target, op, rows, keys, /*allHeads=*/false) {}

  void emit() {
    if (countLists())
      return emitLists();
    extent = countRows();
    Value begin = shell.begin, end = shell.end;
    if (rowSet) {
      Value kept = mul(ceilDiv(extent, rows), kvHeads);
      Value all = mul(
          ceilDiv(memref::DimOp::create(b, argumentOf(op.getSlots()), 0), rows),
          kvHeads);
      begin = portionOf(begin, kept, all);
      end = portionOf(end, kept, all);
    }
    loop(begin, end, 1,
         [&](Value item) { emitItem(div(item, kvHeads), rem(item, kvHeads)); });
  }

private:
  /// Each head has as many items as blocks of all rows: those that its list
  /// does not fill are empty.
  void emitLists() {
    loop(shell.begin, shell.end, 1, [&](Value item) {
      Value kvHead = rem(item, kvHeads), block = div(item, kvHeads);
      selectList(kvHead);
      attention.selectList(kvHead);
      extent = countRows();
      auto any = scf::IfOp::create(
          b, compare(arith::CmpIPredicate::slt, mul(block, rows), extent));
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(any.thenBlock());
      emitItem(block, kvHead);
    });
  }
  void emitItem(Value number, Value kvHead);
  Value countRun(Value row, Value slot, Value position, Value limit);

  int64_t rows;
  AttentionRun attention;
  Value extent;
};

/// Walks over the runs of a block of rows. Where a run turns out to hold values
/// that some of its rows must not see, it is done again, row by row.
void PrefillEmitter::emitItem(Value number, Value kvHead) {
  Value blocks = ceilDiv(extent, rows);
  Value block = sub(sub(blocks, index(1)), number);
  Value first = mul(block, rows);
  Value end = min(add(first, rows), extent);

  // Rows before `single` are runs of their own.
  Type type = b.getIndexType();
  auto runs =
      scf::WhileOp::create(b, TypeRange{type, type}, ValueRange{first, first});
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Location> locations(2, b.getLoc());
  Block *before = b.createBlock(&runs.getBefore(), {}, {type, type}, locations);
  scf::ConditionOp::create(
      b, compare(arith::CmpIPredicate::slt, before->getArgument(0), end),
      before->getArguments());
  Block *after = b.createBlock(&runs.getAfter(), {}, {type, type}, locations);
  Value row = after->getArgument(0), single = after->getArgument(1);
  Value limit = arith::SelectOp::create(
      b, compare(arith::CmpIPredicate::slt, row, single), index(1),
      sub(end, row));
  Value slot = loadIndex(op.getSlots(), rowAt(row));
  Value position = loadIndex(op.getPositions(), rowAt(row));
  AttentionRun::Run run{row, countRun(row, slot, position, limit), slot,
                        position, kvHead};
  Value next = add(row, run.count);
  Value doubtful =
      attention.attend(run, startOf(position), attention.endOf(run));
  attention.storeResult(run);
  scf::YieldOp::create(
      b, ValueRange{arith::SelectOp::create(b, doubtful, row, next),
                    arith::SelectOp::create(b, doubtful, next, single)});
}

/// How many rows from `row` on are a run; at least 1, at most `limit`.
Value PrefillEmitter::countRun(Value row, Value slot, Value position,
                               Value limit) {
  Type type = b.getIndexType();
  auto counting =
      scf::WhileOp::create(b, TypeRange{type}, ValueRange{index(1)});
  OpBuilder::InsertionGuard guard(b);
  Block *before =
      b.createBlock(&counting.getBefore(), {}, {type}, {b.getLoc()});
  Value count = before->getArgument(0);
  auto inside =
      scf::IfOp::create(b, TypeRange(b.getI1Type()),
                        compare(arith::CmpIPredicate::slt, count, limit),
                        /*withElseRegion=*/true);
  b.setInsertionPointToStart(inside.thenBlock());
  Value number = add(row, count), other = rowAt(number);
  auto equals = arith::CmpIPredicate::eq;
  Value found = loadIndex(op.getPositions(), other);
  Value follows =
      rowSet
          ? compare(arith::CmpIPredicate::sgt, found,
                    loadIndex(op.getPositions(), rowAt(sub(number, index(1)))))
          : compare(equals, found, add(position, count));
  scf::YieldOp::create(
      b,
      ValueRange{arith::AndIOp::create(
          b, compare(equals, loadIndex(op.getSlots(), other), slot), follows)});
  b.setInsertionPointToStart(inside.elseBlock());
  Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
  scf::YieldOp::create(b, no);
  b.setInsertionPointToEnd(before);
  scf::ConditionOp::create(b, inside.getResult(0), count);
  Block *after = b.createBlock(&counting.getAfter(), {}, {type}, {b.getLoc()});
  scf::YieldOp::create(b, add(after->getArgument(0), 1));
  return counting.getResult(0);
}

//===----------------------------------------------------------------------===//
// Split
//===----------------------------------------------------------------------===//

/// How the positions of a row are cut into chunks: where the first begins, how
/// long they are.
class ChunkedBuilder : protected AttentionBuilder {
protected:
  ChunkedBuilder(ImplicitLocOpBuilder &b, const KernelShell &shell,
                 const CPUTarget &target, decoder::AttentionOp op,
                 int64_t splits, int64_t keys)
      : AttentionBuilder(b, shell, target, op), splits(splits), keys(keys) {}

  /// Is a work item for one KV head?
  bool isByHead() { return countLists() || hasBlocks(); }

  /// How many elements of a list of blocks are a chunk.
  int64_t blocksOfChunk() {
    return llvm::divideCeil(op.getBlocksPerHead(), splits);
  }

  struct Chunks {
    Value position, start, end, length;
  };
  Chunks chunksOf(Value row) {
    Value position = loadIndex(op.getPositions(), rowAt(row));
    Value start = startOf(position), end = add(position, 1);
    Value blocks = ceilDiv(max(sub(end, start), index(0)), splits * keys);
    return {position, start, end, mul(blocks, keys)};
  }
  /// Of work items that are a row of a KV head each: `body` with the row's
  /// number in the head's list, if that is so long.
  void forRowOfList(Value item, llvm::function_ref<void(Value, Value)> body) {
    Value row = div(item, kvHeads), kvHead = rem(item, kvHeads);
    selectList(kvHead);
    auto any = scf::IfOp::create(
        b, compare(arith::CmpIPredicate::slt, row, countRows()));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(any.thenBlock());
    body(row, kvHead);
  }
  /// The place of the partial results of a chunk.
  Value offsetOfChunk(Value row, Value kvHead, Value chunk) {
    Value head = add(mul(row, kvHeads), kvHead);
    return mul(add(mul(head, splits), chunk), group * partialWidth(headDim));
  }

  int64_t splits, keys;
};

class SplitEmitter : ChunkedBuilder {
public:
  SplitEmitter(ImplicitLocOpBuilder &b, const KernelShell &shell,
               const CPUTarget &target, decoder::AttentionOp op, int64_t splits,
               int64_t keys)
      : ChunkedBuilder(b, shell, target, op, splits, keys),
        attention(b, shell, target, op, /*rows=*/1, keys,
                  /*allHeads=*/!isByHead()) {}

  void emit() {
    if (isByHead())
      return emitHeads();
    auto [begin, end] = itemsOfCall(countRows(), splits);
    loop(begin, end, 1,
         [&](Value item) { emitItem(div(item, splits), rem(item, splits)); });
  }

private:
  /// An item is a chunk of a row and KV head; empty behind the head's list of
  /// rows.
  void emitHeads() {
    loop(shell.begin, shell.end, 1, [&](Value item) {
      Value chunk = rem(item, splits);
      Value number = div(item, splits);
      forRowOfList(number, [&](Value row, Value kvHead) {
        attention.selectList(kvHead);
        Chunks chunks = chunksOf(row);
        AttentionRun::Range seen{chunks.start, chunks.end}, part, listed;
        if (hasBlocks()) {
          Value first = mul(chunk, blocksOfChunk());
          part = listed = {first, min(add(first, blocksOfChunk()),
                                      index(op.getBlocksPerHead()))};
        } else {
          Value from =
              add(chunks.start, arith::MulIOp::create(b, chunk, chunks.length));
          part = seen = {from, min(chunks.end, add(from, chunks.length))};
        }
        auto any = scf::IfOp::create(
            b, compare(arith::CmpIPredicate::slt, part.from, part.to));
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(any.thenBlock());
        AttentionRun::Run run{row, index(1),
                              loadIndex(op.getSlots(), rowAt(row)),
                              chunks.position, kvHead};
        attention.attend(run, seen, listed);
        attention.storePartial(run, offsetOfChunk(row, kvHead, chunk));
      });
    });
  }

  void emitItem(Value row, Value chunk) {
    Chunks chunks = chunksOf(row);
    Value from =
        add(chunks.start, arith::MulIOp::create(b, chunk, chunks.length));
    Value to = min(chunks.end, add(from, chunks.length));
    auto any =
        scf::IfOp::create(b, compare(arith::CmpIPredicate::slt, from, to));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(any.thenBlock());
    AttentionRun::Run run{row, index(1), loadIndex(op.getSlots(), rowAt(row)),
                          chunks.position, Value()};
    attention.attendAllHeads(run, from, to);
    loop(index(0), index(kvHeads), 1, [&](Value kvHead) {
      run.kvHead = kvHead;
      attention.storePartial(run, offsetOfChunk(row, kvHead, chunk));
    });
  }

  AttentionRun attention;
};

/// Adds up the chunks of a row and KV head, in their order.
class MergeEmitter : ChunkedBuilder {
public:
  MergeEmitter(ImplicitLocOpBuilder &b, const KernelShell &shell,
               const CPUTarget &target, decoder::AttentionOp op, int64_t splits,
               int64_t keys)
      : ChunkedBuilder(b, shell, target, op, splits, keys) {}

  void emit() {
    if (countLists()) {
      loop(shell.begin, shell.end, 1, [&](Value item) {
        forRowOfList(item,
                     [&](Value row, Value kvHead) { emitItem(row, kvHead); });
      });
      return;
    }
    auto [begin, end] = itemsOfCall(countRows(), kvHeads);
    loop(begin, end, 1,
         [&](Value item) { emitItem(div(item, kvHeads), rem(item, kvHeads)); });
  }

private:
  void emitItem(Value row, Value kvHead) {
    Chunks chunks = chunksOf(row);
    Value length = max(sub(chunks.end, chunks.start), index(0));
    Value count =
        hasBlocks()
            ? index(llvm::divideCeil(op.getBlocksPerHead(), blocksOfChunk()))
            : arith::CeilDivUIOp::create(b, length,
                                         max(chunks.length, index(1)))
                  .getResult();
    loop(index(0), index(group), 1,
         [&](Value line) { emitHead(row, kvHead, line, count); });
  }

  void emitHead(Value row, Value kvHead, Value line, Value count) {
    auto partOf = [&](Value chunk, int64_t column) {
      return load(shell.workspace, add(add(offsetOfChunk(row, kvHead, chunk),
                                           mul(line, partialWidth(headDim))),
                                       column));
    };
    Value largest = loop(
        index(0), count, 1, constant(std::numeric_limits<float>::lowest()),
        [&](Value chunk, ValueRange carried) -> SmallVector<Value> {
          return {math.maximum(carried[0], partOf(chunk, largestInPartial()))};
        })[0];
    Value offset = offsetOf(largest);
    SmallVector<Value> none(vectorsOfHead() + 1, zeros(f32s()));
    ValueRange merged =
        loop(index(0), count, 1, none, [&](Value chunk, ValueRange carried) {
          Value score = partOf(chunk, largestInPartial());
          Value weight = math.exp2(exponent(score, offset), false);
          // Chunks may all be empty: see AttentionRun::updateLargest.
          if (hasBlocks())
            weight = arith::SelectOp::create(
                b,
                arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, score,
                                      largest),
                constant(1.0f), weight);
          SmallVector<Value> next;
          for (int64_t v = 0; v <= vectorsOfHead(); ++v)
            next.push_back(vector::FMAOp::create(
                b,
                partOf(chunk,
                       v < vectorsOfHead() ? v * lanes : totalInPartial()),
                weight, carried[v]));
          return next;
        });
    Value share = shareOf(merged.back());
    Value head = add(mul(kvHead, group), line);
    for (int64_t v = 0; v < vectorsOfHead(); ++v)
      storeColumns(merged[v], share, rowAt(row), head, v);
  }
};

} // namespace

std::optional<FailureOr<KernelPlan>> planAttention(func::FuncOp kernel) {
  decoder::AttentionOp attention = getOnlyOp<decoder::AttentionOp>(kernel);
  if (!attention)
    return std::nullopt;
  FailureOr<AffineExpr> extent = getArgumentExtent(
      kernel, cast<BlockArgument>(attention.getQuery()).getArgNumber(), 0);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());

  // 128 query heads share what packing a key costs; blocks of keys and of
  // values, packed, take turns in the L1 cache.
  int64_t headDim = attention.getHeadDim(), kvHeads = attention.getKvHeads();
  int64_t lists = 0;
  if (Value list = attention.getRowList())
    if (auto type = cast<RankedTensorType>(list.getType()); type.getRank() == 2)
      lists = type.getDimSize(0);
  kvHeads = std::max(kvHeads, lists);
  int64_t group = attention.getQueryHeads() / kvHeads;
  int64_t rows = std::max<int64_t>(1, (headDim > 128 ? 64 : 128) / group);
  int64_t keys = headDim > 128 ? 32 : headDim > 64 ? 64 : 128;
  // A block of keys never reaches into a block of a list that no row wants.
  if (std::optional<uint64_t> size = attention.getBlockSize())
    keys = std::min<int64_t>(keys, llvm::alignTo(*size, 32));
  if (IntegerAttr size = attention.getDropSizeAttr())
    keys = size.getInt();
  bool isByHead = lists || attention.getBlocks();
  MLIRContext *context = kernel.getContext();
  // What is dropped depends on the blocks before it: there are no chunks.
  if (attention.getDropBelowAttr())
    return FailureOr<KernelPlan>(KernelPlan::always(
        kernel,
        makeConfig(context, kAttention,
                   {{"rows", rows}, {"keys", keys}, {"drops", 1}}),
        makeGrid(extent->ceilDiv(rows) * kvHeads)));
  KernelPlan plan = KernelPlan::always(
      kernel, makeConfig(context, kAttention, {{"rows", rows}, {"keys", keys}}),
      makeGrid(extent->ceilDiv(rows) * kvHeads));

  // Few rows are not enough to go round, nor do they share keys.
  constexpr int64_t kFewRows = 16, kSplits = 16;
  KernelVariant split;
  split.guard = makeGrid(kFewRows + 1 - *extent);
  auto addStage = [&](StringRef strategy, StringRef suffix, AffineExpr grid) {
    split.stages.push_back({makeConfig(context, strategy,
                                       {{"splits", kSplits},
                                        {"keys", std::min<int64_t>(keys, 64)}}),
                            makeGrid(grid), suffix.str()});
  };
  addStage(kAttentionSplit, "split",
           *extent * kSplits * (isByHead ? kvHeads : 1));
  addStage(kAttentionMerge, "merge", *extent * kvHeads);
  split.workspace = makeGrid(getAffineConstantExpr(
      kFewRows * kvHeads * kSplits * group *
          AttentionBuilder::partialWidth(headDim) * int64_t(sizeof(float)),
      context));
  plan.variants.insert(plan.variants.begin(), std::move(split));
  return FailureOr<KernelPlan>(plan);
}

FailureOr<func::FuncOp> emitAttention(func::FuncOp kernel,
                                      const CPUTarget &target) {
  decoder::AttentionOp attention = getOnlyOp<decoder::AttentionOp>(kernel);
  if (!attention)
    return kernel.emitError() << "expected one 'decoder.attention' in a kernel "
                                 "of strategy \""
                              << getStrategy(kernel) << "\"";
  StringRef strategy = getStrategy(kernel);
  bool isPrefill = strategy == kAttention;
  StringRef name = isPrefill ? "rows" : "splits";
  FailureOr<int64_t> parts = getParameter(kernel, name);
  FailureOr<int64_t> keys = getParameter(kernel, "keys");
  if (failed(parts) || failed(keys))
    return failure();
  if (*parts <= 0)
    return kernel.emitError()
           << "expected a positive '" << name << "', found " << *parts;
  if (*keys <= 0 || *keys % 32)
    return kernel.emitError()
           << "expected 'keys' to be a multiple of 32, found " << *keys;
  if (!isPrefill && !kernel->hasAttr(exec::workspaceAttrName))
    return kernel.emitError()
           << "expected '" << exec::workspaceAttrName
           << "' on a kernel of strategy \"" << strategy << "\"";

  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell =
      createKernelShell(builder, kernel, /*halvesAsBits=*/true);
  if (failed(shell))
    return failure();
  if (isPrefill)
    PrefillEmitter(builder, *shell, target, attention, *parts, *keys).emit();
  else if (strategy == kAttentionSplit)
    SplitEmitter(builder, *shell, target, attention, *parts, *keys).emit();
  else
    MergeEmitter(builder, *shell, target, attention, *parts, *keys).emit();
  kernel.erase();
  return shell->function;
}

} // namespace coppice::cpu
