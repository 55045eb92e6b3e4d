//===- AttentionBuilder.h - what kernels of attention share -----*- C++ -*-===//
//
// The base of the classes that build kernels of one `decoder.attention`: its
// shape, which query rows are asked for, which positions they see, and where
// things lie in the caches.
//
// Scores are kept times log2(e), so that weights are powers of two. A row that
// has seen nothing has -inf as its largest score: `referenceOf` keeps
// differences to it from being NaN.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONBUILDER_H
#define COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONBUILDER_H

#include "KernelBuilder.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "llvm/Support/MathExtras.h"

namespace coppice::nvptx {

class AttentionBuilder : protected KernelBuilder {
public:
  /// Numbers of a partial result.
  static int64_t partialWidth(int64_t headDim) {
    return llvm::alignTo(headDim, 4) + 4;
  }

protected:
  AttentionBuilder(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
                   decoder::AttentionOp op);

  //===--- Rows ---===//

  /// How many lists of query rows there are; 0: none, or one for all heads.
  int64_t countLists();
  /// How many rows a query head is asked for.
  Value countRows(Value head);
  /// The query row that is number `number` of those that a head is asked for.
  Value rowAt(Value number, Value head);

  //===--- Positions ---===//

  /// The positions [from, to).
  struct Range {
    Value from, to;
  };
  /// What a row at `position` sees, whatever its lists say.
  Range seenFrom(Value position);
  bool hasBlocks() { return op.getBlocks() != nullptr; }
  bool drops() { return op.getDropBelowAttr() != nullptr; }
  /// The positions of `seen` in the block that is element `place` of the list
  /// of a row and KV head; none if there is no such block.
  Range listedRange(Value row, Value kvHead, Value place, Range seen);

  /// The element of a cache where a head has its first element of a position.
  Value cacheAt(Value cache, Value slot, Value position, Value kvHead);

  //===--- Partial results ---===//

  /// What is known of a row and a query head after a part of its positions, in
  /// the workspace, in f32: its sums, its largest score and its total.
  int64_t largestInPartial() { return llvm::alignTo(headDim, 4); }
  int64_t totalInPartial() { return largestInPartial() + 1; }
  /// The partial result of one of `chunks` parts, of the row that is number
  /// `number` of those that a head is asked for.
  Value partialAt(Value number, Value head, Value chunk, int64_t chunks);

  //===--- Numbers ---===//

  Value minusInfinity() { return f32(-std::numeric_limits<float>::infinity()); }
  /// What to subtract from scores of which `largest` is the largest.
  Value referenceOf(Value largest);
  Value exp2(Value x);
  /// NaN if one of the two is.
  Value larger(Value x, Value y);
  /// 1 / total, or 0 for 0. A total that is NaN is passed on.
  Value shareOf(Value total);

  int64_t bytesOf(Value tensor);

  decoder::AttentionOp op;
  int64_t headDim, queryHeads, kvHeads;
  int64_t group; // query heads that share a KV head
  float scale;   // times log2(e)
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONBUILDER_H
