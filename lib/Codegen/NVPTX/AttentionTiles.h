//===- AttentionTiles.h - a run of rows against tiles of keys ---*- C++ -*-===//
//
// In: a *run*, some consecutive rows of one sequence, with the query heads that
// share a KV head: rows x heads *lines*. Out: what they attend to, by products
// of matrices, as FlashAttention-2 does (Dao, arXiv 2307.08691): a warp has 16
// lines, the block's warps share the tiles of keys and values.
//
//   for each tile of positions:
//     copy its values, while   scores = queries . keys
//     copy the next keys, while   sums = sums * shrink + weights . values
//
// Keys and values are in shared memory as they are stored, rows padded so that
// they lie in different banks; zeros take the place of columns and positions
// that there are not. Queries and weights are rounded to the caches' type;
// scores, weights' sums and sums of values are f32.
//
// With lists of blocks, the rows of a run have equal lists, and the tiles are
// those of the list's blocks.
//
// Of positions that not all lines of a tile see, the others have weight 0,
// which hides every value but one that is not finite: then sums are NaN, and
// lines with a NaN are done again by themselves (AttentionRow.h). The products
// of those that are NaN in earnest are wasted, too; nobody waits for those.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONTILES_H
#define COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONTILES_H

#include "AttentionRow.h"
#include "WarpMatrix.h"

namespace coppice::nvptx {

class AttentionTiles : public AttentionBuilder {
public:
  /// Sets shared memory aside for tiles of `keys` positions, a multiple of 16.
  AttentionTiles(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
                 decoder::AttentionOp op, int64_t keys);

  using AttentionBuilder::Range;
  struct Run {
    Value number, count; // of its rows, among those that are asked for
    Value unit;          // of heads
    Value slot;
    Value position, last; // of its first row and of its last
  };
  /// A run of row `number` alone.
  Run oneRow(Value number, Value unit);
  /// The run that begins with row `number`, of `most` (up to 64) rows.
  Run findRun(Value number, Value most, Value unit);
  Range seenBy(const Run &run) {
    return {seenFrom(run.position).from, add(run.last, 1)};
  }

  /// What a lane knows of its lines, group and group + 8 of its warp's.
  struct State {
    mlir::SmallVector<Value> largest, total, sums;
  };
  /// Lets the run attend to those of `seen` that it sees and, where there are
  /// lists of blocks, finds in the elements `listed` of its list. All threads
  /// of the block come here, for one run.
  State attend(const Run &run, Range seen, Range listed);
  State attend(const Run &run) {
    return attend(run, seenBy(run), {i32(0), i32(op.getBlocksPerHead())});
  }
  void storeResult(const Run &run, const State &state);
  /// Writes what a run of one row has found to the workspace, as one of
  /// `chunks` partial results: `partialAt`.
  void storePartial(const Run &run, const State &state, Value chunk,
                    int64_t chunks);

  /// Query heads that have a KV head and a list of rows in common are a unit.
  int64_t units() { return std::max(kvHeads, countLists()); }
  int64_t headsOfUnit() { return queryHeads / units(); }
  Value firstHeadOf(Value unit) { return mul(unit, headsOfUnit()); }
  Value kvHeadOf(Value unit) { return div(unit, units() / kvHeads); }

private:
  /// The positions [from, from + keys) that are before `to`, in the block that
  /// is element `place` of the run's list.
  struct Tile {
    Value place, from, to;
  };

  int64_t pieces() { return llvm::divideCeil(headDim, 16) * 2; }
  int64_t pitch() { return (pieces() + 1) * 16; }
  Value linesOf(const Run &run) { return mul(run.count, headsOfUnit()); }
  Value rowOfLine(const Run &run, Value line) {
    return rowAt(add(run.number, div(line, headsOfUnit())),
                 firstHeadOf(run.unit));
  }
  Value lineOfLane(int64_t half) {
    return add(add(mul(warp(), 16), div(lane(), 4)), 8 * half);
  }

  Value follows(Value number, Value unit);
  Value countFollowers(Value number, Value most, Value unit);

  Tile seek(const Run &run, Value place, Range seen, Range listed);
  Tile next(const Run &run, const Tile &tile, Range seen, Range listed);

  void forEachPiece(int64_t rows, llvm::function_ref<void(Value, Value)> body);
  void loadQueries(const Run &run);
  void copyTile(Value cache, const Run &run, const Tile &tile,
                PaddedTile destination);
  void waitForCopies();
  mlir::SmallVector<Value> multiplyKeys();
  mlir::SmallVector<Value> maskScores(const Run &run, const Tile &tile,
                                      mlir::ArrayRef<Value> positions,
                                      mlir::ValueRange scores);
  State addTile(const State &state, mlir::SmallVector<Value> scores);
  void storeLine(const Run &run, const State &state, int64_t half);
  void storeAgain(const Run &run);

  mlir::SmallVector<Value> flatten(const State &state);
  State restore(mlir::ValueRange values);

  int64_t keys, lines;
  WarpMatrix matrices;
  AttentionRow exact;
  PaddedTile queryTile, keyTile, valueTile;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONTILES_H
