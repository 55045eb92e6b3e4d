//===- AttentionRun.h - a run of rows against a range of keys ---*- C++ -*-===//
//
// A *run* is some consecutive rows of one sequence at consecutive positions or,
// of a set of rows, consecutive ones of the set at ascending positions. With
// the query heads that share a KV head it makes rows x group *heads*; here is
// the code that lets all of them attend to a range of positions, by the online
// softmax (Milakov and Gimelshein, arXiv 1805.02867), blocked as in Dao et al.,
// arXiv 2205.14135:
//
//   for each block of positions:
//     pack keys, so that a register holds one column of many keys, and values,
//       so that it holds many columns of one value
//     for each tile of heads: scores = queries . keys
//       weights = exp(scores - the largest so far), 0 where a head may not look
//     for each tile of heads: sums = sums * shrink + weights . values
//
// Products are register tiles of `height` heads by `vectors` registers. Where
// there are products of pairs of bf16 and the cache is bf16, queries and
// weights are rounded to bf16; else all is f32. The softmax and its sums always
// are.
//
// A tile skips the registers of keys that none of its heads attends to. Where
// only some of them do, the others have weight 0, which hides every value but
// one that is not finite: `attend` tells when that has happened, and the caller
// attends again, row by row.
//
// With lists of blocks of positions, a run walks through the blocks that any of
// its rows wants, in ascending order: each row remembers the next block of its
// list, and the smallest of these comes next. Tiles skip a block that none of
// their rows wants; in the others, heads of rows that do not have weight 0.
//
// With a threshold, blocks are those of `drop_size` positions. A head whose
// best score in one is too low takes weight 0 for all of it; where all heads of
// a tile do, there is no product with values, and where all of a run do, values
// are not packed.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_ATTENTIONRUN_H
#define COPPICE_LIB_CODEGEN_CPU_ATTENTIONRUN_H

#include "RunTimeSet.h"
#include "VectorMath.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"

namespace coppice::cpu {

/// What all kernels of attention share.
class AttentionBuilder : public KernelBuilder {
protected:
  AttentionBuilder(mlir::ImplicitLocOpBuilder &b, const KernelShell &shell,
                   const CPUTarget &target, decoder::AttentionOp op);

  mlir::VectorType f32s() { return math.f32s(); }
  Value load(Value memref, mlir::ValueRange indices) {
    return mlir::vector::LoadOp::create(b, math.f32s(), memref, indices);
  }
  void store(Value vector, Value memref, mlir::ValueRange indices) {
    mlir::vector::StoreOp::create(b, vector, memref, indices);
  }
  Value multiply(Value lhs, Value rhs) {
    return mlir::arith::MulFOp::create(b, lhs, rhs);
  }
  Value sum(Value lhs, Value rhs) {
    return mlir::arith::AddFOp::create(b, lhs, rhs);
  }
  Value constant(float value) {
    return mlir::arith::ConstantOp::create(
        b, mlir::DenseElementsAttr::get(math.f32s(), value));
  }
  Value ceilDiv(Value value, int64_t by) { return div(add(value, by - 1), by); }
  Value compare(mlir::arith::CmpIPredicate predicate, Value lhs, Value rhs) {
    return mlir::arith::CmpIOp::create(b, predicate, lhs, rhs);
  }
  /// An element of a vector of i32, as an index.
  Value loadIndex(Value tensor, Value row);
  /// With a set of rows, rows are counted in it: the row that is number
  /// `number`.
  Value rowAt(Value number) { return rowSet ? rowSet->at(number) : number; }
  /// How many lists of rows there are; 0: none, or one for all heads.
  int64_t countLists() { return rowSet ? rowSet->lists() : 0; }
  /// The head of the caches that a KV head is: query heads that share one, but
  /// are of different lists, are taken for heads of several.
  Value cacheHead(Value kvHead) { return div(kvHead, copies); }
  /// The step's row count, or that of the set.
  Value countRows();
  /// What the call does of `all` work items, `ofRow` for each row: with a set,
  /// its share of those that there are.
  std::pair<Value, Value> itemsOfCall(Value rows, int64_t ofRow);
  /// The first position that a row at `position` attends to.
  Value startOf(Value position);
  bool hasBlocks() { return op.getBlocks() != nullptr; }
  bool drops() { return op.getDropBelowAttr() != nullptr; }

  /// Where the score of a head is at most `largest`: its weight is
  /// 2^(score * scale + offset), with this offset.
  Value offsetOf(Value largest) {
    return mlir::arith::NegFOp::create(b, multiply(largest, constant(scale)));
  }
  Value exponent(Value score, Value offset) {
    return mlir::vector::FMAOp::create(b, score, constant(scale), offset);
  }

  int64_t vectorsOfHead() const { return llvm::divideCeil(headDim, lanes); }
  /// Writes one vector of a head's result, times `share`.
  void storeColumns(Value sum, Value share, Value row, Value head,
                    int64_t vector);
  /// 1 / total, or 0 for 0. A total that is NaN is passed on.
  Value shareOf(Value total);

  // A partial result of a head, in a workspace: its sums, padded; 16 times its
  // largest score; 16 times its total.
  int64_t largestInPartial() const { return llvm::alignTo(headDim, 16); }
  int64_t totalInPartial() const { return largestInPartial() + 16; }

public:
  /// From here on rows are those of the list of a KV head, if it has its own.
  void selectList(Value kvHead) {
    if (int64_t lists = countLists())
      rowSet->select(div(kvHead, kvHeads / lists));
  }
  static int64_t partialWidth(int64_t headDim) {
    return llvm::alignTo(headDim, 16) + 32;
  }

protected:
  VectorMath math;
  std::optional<RunTimeSet> rowSet;
  decoder::AttentionOp op;
  int64_t headDim, kvHeads, group, lanes, copies = 1;
  float scale;
};

/// Below every score, but so that a difference to one does not overflow.
inline constexpr float kLowestScore = -1.0e30f;

class AttentionRun : public AttentionBuilder {
public:
  /// Allocates memory for runs of up to `rows` rows and blocks of `keys`
  /// positions, a multiple of 32. With `allHeads` a run is done for all KV
  /// heads at the same time, block by block, else for one.
  AttentionRun(mlir::ImplicitLocOpBuilder &b, const KernelShell &shell,
               const CPUTarget &target, decoder::AttentionOp op, int64_t rows,
               int64_t keys, bool allHeads);

  struct Run {
    Value row, count;     // of the query, by `rowAt`
    Value slot, position; // of its first row
    Value kvHead;
  };

  /// Behind the last position that the run looks at.
  Value endOf(const Run &run) {
    return add(positionOf(run, sub(run.count, index(1))), 1);
  }

  /// Lets the run attend to the positions [from, to) that it may look at. Gives
  /// an i1: was there a value that is not finite and not for all of its rows?
  Value attend(const Run &run, Value from, Value to) {
    return attend(run, {from, to}, {index(0), index(op.getBlocksPerHead())});
  }

  struct Range {
    Value from, to;
  };

  /// The same; where there are lists of blocks, only to those in the elements
  /// `listed` of each.
  Value attend(const Run &run, Range range, Range listed);

  /// The same for all KV heads, for runs of one row. All heads of a position
  /// lie side by side: this reads the cache in order.
  void attendAllHeads(Run run, Value from, Value to);

  /// Writes the result: sums / total, or 0 for a row that attended to nothing.
  void storeResult(const Run &run);

  /// Writes what was found, to be merged with what was found elsewhere:
  /// `partialWidth` floats for each query head, from workspace[offset].
  void storePartial(const Run &run, Value offset);

private:
  struct Block {
    Value from, count;
    /// How many elements of the cache behind the block are to be fetched; may
    /// be null.
    Value next = {};
    /// Which block of the lists it is in; null without lists.
    Value listed = {};
  };

  mlir::Value allocate(llvm::ArrayRef<int64_t> shape, bool packed);
  mlir::VectorType packedType(int64_t count) {
    return mlir::VectorType::get(count * depth, element);
  }
  Value headsOf(const Run &run) { return mul(run.count, group); }
  Value tilesOf(const Run &run) { return ceilDiv(headsOf(run), height); }
  Value rowOf(const Run &run, Value head) {
    return min(div(head, group), sub(run.count, index(1)));
  }
  /// The position of a row of the run; with a set, they only ascend.
  Value positionOf(const Run &run, Value row) {
    return rowSet ? loadIndex(op.getPositions(), rowAt(add(run.row, row)))
                  : add(run.position, row);
  }
  /// Where a head of the run is in memory that outlives a block.
  Value lineOf(const Run &run, Value head) {
    return linesOfHead ? add(mul(run.kvHead, linesOfHead), head) : head;
  }
  Range rangeOf(const Run &run, const Block &block, Value first, Value last);
  Range rangeOfTile(const Run &run, const Block &block, Value firstHead);

  Value attendRange(const Run &run, Range range, Value listed);
  Value attendListed(const Run &run, Range range, Range listed);
  Value listedBlock(const Run &run, Value row, Value place, Value end);
  void takeNext(const Run &run, Value row, Value place, Value end);
  Value smallestNext(const Run &run);
  Value wants(Value row, Value listed);
  Value isWanted(const Block &block, Value firstRow, Value lastRow);
  Value isWantedByAll(const Run &run, const Block &block);

  void prefetch(const Run &run, const Block &block, Value offset);
  void prepare(const Run &run);
  Value attendBlock(const Run &run, const Block &block);
  Value attendKept(const Run &run, const Block &block);
  void packKeys(const Run &run, const Block &block);
  void packKeyColumns(Value keys, const Run &run, const Block &block, Value key,
                      Value column, int64_t count);
  void packValues(const Run &run, const Block &block);
  Value isDoubtful(const Run &run, const Block &block);
  Value hasNonFiniteValue(const Block &block);
  llvm::SmallVector<Value> product(mlir::ValueRange sums, Value lhs,
                                   Value firstRow, Value rhs, Value panel,
                                   Value from, Value to);
  Value emitWeights(const Run &run, const Block &block, Value tile);
  Value emitSoftmax(const Run &run, const Block &block, Value head,
                    Value scoresLine, Range keysOfTile);
  Value weighOrDrop(const Run &run, const Block &block, Value row, Value best,
                    Value offset, llvm::function_ref<void()> weigh,
                    llvm::function_ref<void()> drop);
  Value updateLargest(Value line, Value best);
  Value weightOf(Value score, Value offset) {
    return math.exp2(exponent(score, offset), /*coarse=*/depth == 2);
  }
  void storeWeight(Value weight, Value head, Value key);
  void addTotal(Value line, Value total);
  void emitSums(const Run &run, const Block &block, Value tile);

  int64_t keys;            // positions of a block
  int64_t rows;            // of a run, at most
  int64_t height, vectors; // of a register tile
  int64_t linesOfHead;     // lines of a KV head; 0: there is only one
  int64_t depth;           // elements that a product adds up: 2 or 1
  mlir::Type element;      // of what is packed: i16 (of bf16) or f32
  /// [heads, padded head]; [panels, columns / depth, keys x depth];
  /// [panels, keys / depth, columns x depth]; [heads, keys].
  Value queries, packedKeys, packedValues, weights;
  /// [height, keys]; [heads, padded head].
  Value scores, sums;
  /// [heads, lanes], equal lanes except in `totals`: the largest score so far;
  /// the sum of weights, in parts; what the last block shrank sums by.
  Value largest, totals, shrinks;
  /// [rows], with lists of blocks: where in its list each row is, and the block
  /// there.
  Value places, nextBlocks;
  /// [tiles], with a threshold: 1 where some head of the tile has not dropped
  /// the block.
  Value keptTiles;
};

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_ATTENTIONRUN_H
