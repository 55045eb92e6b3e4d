//===- AttentionRow.h - a warp attends for a row and a head -----*- C++ -*-===//
//
// In: a query row, one of its query heads, and a range of positions. Out: what
// the online softmax (Milakov and Gimelshein, arXiv 1805.02867) knows of them:
// the largest score, the sum of weights and the weighted sum of values, all in
// f32. For everything that `decoder.attention` may say, and any storage.
//
// The warp goes through the positions in pieces of 32 or, with a threshold, in
// the blocks that are dropped together:
//
//   scores: a lane has a position of 32 and goes along its key;
//   sums: a lane has some columns, and all positions of the piece pass by, with
//     their weights from the lanes that have them.
//
// Values of positions that the row does not attend to are never read, so they
// may be anything.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONROW_H
#define COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONROW_H

#include "AttentionBuilder.h"

namespace coppice::nvptx {

class AttentionRow : public AttentionBuilder {
public:
  AttentionRow(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
               decoder::AttentionOp op);

  using AttentionBuilder::Range;
  struct Place {
    Value row, head, slot, position;
    Range seen;
  };
  /// The place of a row and a query head, and all that the row sees.
  Place placeOf(Value row, Value head);

  /// The largest score and the sums of a row; of `total` each lane has a part,
  /// and of the sum of values some columns.
  struct State {
    Value largest, total;
    mlir::SmallVector<Value> sums;
  };

  /// Lets the row attend to what it sees and, where there are lists of blocks,
  /// finds in the elements `listed` of its list. All lanes of the warp come
  /// here, for one place. Sets shared memory aside: the query of each warp, and
  /// its scores.
  State attend(const Place &place, Range listed);
  State attend(const Place &place) {
    return attend(place, {i32(0), i32(op.getBlocksPerHead())});
  }

  /// Writes what was found to the workspace: `partialAt`.
  void storePartial(const State &state, Value partial);
  /// What the first `count` of `chunks` (up to 32) partial results are
  /// together, added up in their order. `partials` is the first one.
  State merge(Value partials, Value count, int64_t chunks);

  /// Writes the result: sums / total, or 0 for a row that attended to nothing.
  void storeResult(const Place &place, const State &state);

private:
  int64_t chunks() { return headDim / width; }
  int64_t chunksOfLane() { return llvm::divideCeil(chunks(), 32); }
  mlir::Type columns(mlir::Type element) {
    return width == 1 ? element : mlir::VectorType::get(width, element);
  }
  Value splat(Value value);
  void forEachChunk(llvm::function_ref<void(int64_t, Value)> body);

  mlir::SmallVector<Value> flatten(const State &state);
  State restore(mlir::ValueRange values);
  void loadQuery(const Place &place);
  State attendRange(const Place &place, State state, Range range);
  State attendPiece(const Place &place, const State &state, Value first,
                    Range range);
  Value scoreOf(const Place &place, Value first, Range range);
  State addValues(const Place &place, State state, Value weight, Value first,
                  Range range);

  int64_t keys;          // positions of a piece
  int64_t width;         // columns that a lane loads at once
  Value queries, scores; // of this warp, in f32
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONROW_H
