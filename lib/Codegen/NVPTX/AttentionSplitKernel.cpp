//===- AttentionSplitKernel.cpp - attention of few rows in two steps ------===//
//
// "attention_split", then "attention_merge": few rows are not enough to go
// round, so the positions that a row attends to are cut into `splits` chunks,
// side by side. What a chunk finds goes to the workspace, and a second stage
// adds up the chunks, in their order. How long a chunk is depends on the row
// alone.
//
// With "matrices" 1, a work item of the first stage is a row, the query heads
// that share a KV head (and a list of rows), and a chunk: keys and values are
// read once for all heads (AttentionTiles.h). A block is as few warps as have
// lines for them, one mostly: many small blocks have as much in flight as few
// large ones, and do not wait for each other. Otherwise it is a row, as many
// query heads as the block has warps, and a chunk (AttentionRow.h).
//
// With lists of blocks, chunks are parts of the lists, so that each has work to
// do.
//
// A work item of the second stage is a row and as many query heads as the block
// has warps.
//
//===----------------------------------------------------------------------===//

#include "AttentionStages.h"
#include "AttentionTiles.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

/// How the positions of a row, or its list, are cut into chunks.
class ChunkedBuilder : protected AttentionBuilder {
protected:
  ChunkedBuilder(ImplicitLocOpBuilder &b, KernelShell &shell,
                 decoder::AttentionOp op, int64_t splits, int64_t keys)
      : AttentionBuilder(b, shell, op), splits(splits), keys(keys) {}

  struct Chunk {
    Range seen, listed;
  };
  Chunk chunkOf(Range seen, Value number) {
    if (hasBlocks()) {
      Value from = mul(number, blocksOfChunk());
      return {
          seen,
          {from, min(add(from, blocksOfChunk()), i32(op.getBlocksPerHead()))}};
    }
    Value length = lengthOfChunk(seen);
    Value from = add(seen.from, mul(number, length));
    return {{from, min(seen.to, add(from, length))}, {i32(0), i32(0)}};
  }
  /// Chunks behind the last are empty, and nothing is written for them.
  Value isEmpty(const Chunk &chunk) {
    const Range &range = hasBlocks() ? chunk.listed : chunk.seen;
    return compare(arith::CmpIPredicate::sge, range.from, range.to);
  }
  Value countChunks(Range seen) {
    if (hasBlocks())
      return i32(llvm::divideCeil(op.getBlocksPerHead(), blocksOfChunk()));
    Value length = max(lengthOfChunk(seen), i32(1));
    return div(sub(add(extentOf(seen), length), i32(1)), length);
  }

  int64_t splits, keys;

private:
  Value extentOf(Range seen) { return max(sub(seen.to, seen.from), i32(0)); }
  /// Whole tiles of keys.
  Value lengthOfChunk(Range seen) {
    int64_t keysOfAll = splits * keys;
    return mul(div(add(extentOf(seen), keysOfAll - 1), keysOfAll), keys);
  }
  int64_t blocksOfChunk() {
    return llvm::divideCeil(op.getBlocksPerHead(), splits);
  }
};

/// A row, the heads of a unit, and a chunk, by products of matrices.
class SplitTilesEmitter : ChunkedBuilder {
public:
  SplitTilesEmitter(ImplicitLocOpBuilder &b, KernelShell &shell,
                    decoder::AttentionOp op, int64_t splits, int64_t keys)
      : ChunkedBuilder(b, shell, op, splits, keys),
        attention(b, shell, op, keys) {}

  void emit() {
    forEachItem([&](Value item) {
      Value place = div(item, splits), units = i32(attention.units());
      emitChunk(div(place, units), rem(place, units), rem(item, splits));
    });
  }

private:
  void emitChunk(Value number, Value unit, Value which) {
    Value count = countRows(attention.firstHeadOf(unit));
    ifThen(less(number, count), [&] {
      AttentionTiles::Run run = attention.oneRow(number, unit);
      Chunk chunk = chunkOf(attention.seenBy(run), which);
      ifThen(equal(isEmpty(chunk), zero(b.getI1Type())), [&] {
        attention.storePartial(run,
                               attention.attend(run, chunk.seen, chunk.listed),
                               which, splits);
      });
    });
  }

  AttentionTiles attention;
};

/// Work items that are a row by as many query heads as the block has warps.
class HeadsBuilder : protected ChunkedBuilder {
public:
  HeadsBuilder(ImplicitLocOpBuilder &b, KernelShell &shell,
               decoder::AttentionOp op, int64_t splits, int64_t keys)
      : ChunkedBuilder(b, shell, op, splits, keys), attention(b, shell, op) {}

protected:
  /// `body` with the number of a row, and its place.
  void
  forRow(Value item,
         llvm::function_ref<void(Value, const AttentionRow::Place &)> body) {
    int64_t warps = shell.threads / 32;
    int64_t items = llvm::divideCeil(queryHeads, warps);
    Value number = div(item, items);
    Value head = add(mul(rem(item, items), warps), warp());
    ifThen(less(head, i32(queryHeads)), [&] {
      ifThen(less(number, countRows(head)), [&] {
        body(number, attention.placeOf(rowAt(number, head), head));
      });
    });
  }

  AttentionRow attention;
};

class SplitRowsEmitter : HeadsBuilder {
public:
  using HeadsBuilder::HeadsBuilder;

  void emit() {
    forEachItem([&](Value item) {
      Value which = rem(item, splits);
      forRow(div(item, splits), [&](Value number, AttentionRow::Place place) {
        Chunk chunk = chunkOf(place.seen, which);
        ifThen(equal(isEmpty(chunk), zero(b.getI1Type())), [&] {
          place.seen = chunk.seen;
          attention.storePartial(attention.attend(place, chunk.listed),
                                 partialAt(number, place.head, which, splits));
        });
      });
    });
  }
};

class MergeEmitter : HeadsBuilder {
public:
  using HeadsBuilder::HeadsBuilder;

  void emit() {
    forEachItem([&](Value item) {
      forRow(item, [&](Value number, const AttentionRow::Place &place) {
        attention.storeResult(
            place,
            attention.merge(partialAt(number, place.head, i32(0), splits),
                            countChunks(place.seen), splits));
      });
    });
  }
};

/// What both stages read from their configuration.
struct SplitConfig {
  int64_t splits, keys, matrices;
};

FailureOr<SplitConfig> readConfig(func::FuncOp kernel) {
  FailureOr<int64_t> splits = getParameter(kernel, "splits");
  FailureOr<int64_t> keys = getParameter(kernel, "keys");
  FailureOr<int64_t> matrices = getParameter(kernel, "matrices");
  if (failed(splits) || failed(keys) || failed(matrices))
    return failure();
  if (*splits < 1 || *splits > 32)
    return kernel.emitError() << "expected 1 to 32 'splits', found " << *splits;
  if (*keys < 16 || *keys % 16)
    return kernel.emitError()
           << "expected 'keys' to be a multiple of 16, found " << *keys;
  if (!kernel->hasAttr(exec::workspaceAttrName))
    return kernel.emitError()
           << "expected '" << exec::workspaceAttrName
           << "' on a kernel of strategy \"" << getStrategy(kernel) << "\"";
  return SplitConfig{*splits, *keys, *matrices};
}

template <typename Emitter>
LogicalResult emitStage(func::FuncOp kernel, decoder::AttentionOp attention,
                        const SplitConfig &config) {
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  shell->setResidentBlocks(1);
  Emitter(builder, *shell, attention, config.splits, config.keys).emit();
  kernel.erase();
  return success();
}

} // namespace

LogicalResult emitAttentionSplit(func::FuncOp kernel,
                                 decoder::AttentionOp attention) {
  FailureOr<SplitConfig> config = readConfig(kernel);
  if (failed(config))
    return failure();
  if (config->matrices)
    return emitStage<SplitTilesEmitter>(kernel, attention, *config);
  return emitStage<SplitRowsEmitter>(kernel, attention, *config);
}

LogicalResult emitAttentionMerge(func::FuncOp kernel,
                                 decoder::AttentionOp attention) {
  FailureOr<SplitConfig> config = readConfig(kernel);
  if (failed(config))
    return failure();
  return emitStage<MergeEmitter>(kernel, attention, *config);
}

} // namespace coppice::nvptx
