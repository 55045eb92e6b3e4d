//===- BlockScores.h - scores of blocks of keys, on a GPU -------*- C++ -*-===//
//
// In: a `prune.select_blocks` that chooses by score. Out: code that makes the
// query of a row and a KV head, for the whole block of threads, and then scores
// blocks of keys with it, a warp a block.
//
// The lanes of a warp lie along a key first, each with an access of it, then
// along positions. So neighbouring lanes read neighbouring bytes, and what a
// lane needs of the query stays in its registers.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_BLOCKSCORES_H
#define COPPICE_LIB_CODEGEN_NVPTX_BLOCKSCORES_H

#include "KernelBuilder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

namespace coppice::nvptx {

class BlockScores : KernelBuilder {
public:
  /// Of an op with `top`.
  BlockScores(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
              prune::SelectBlocksOp op);

  /// Shared memory that `makeQuery` leaves the query in, and what else it needs
  /// meanwhile, in bytes.
  int64_t queryBytes() const;
  int64_t scratchBytes() const { return 4 * rank; }

  /// Leaves what keys are multiplied with in `query`: the sum of the queries of
  /// a KV head; with weights U and V, V^T U of them, one part for each of what
  /// keys are pooled to. All threads come here, and may read it when they have
  /// left.
  void makeQuery(Value row, Value kvHead, Value query, Value scratch);

  /// The score of a block of the keys of a slot, in all lanes of a warp. The
  /// order of its sums depends on nothing but the op.
  Value score(Value slot, Value kvHead, Value block, Value query);

private:
  Value loadKeys(Value first, Value position);
  Value dot(Value first, Value query, Value vector);
  Value dotOfPooled(Value first, Value query, Value vector);
  Value queryAt(Value query, Value vector, int64_t part);
  void forThreads(int64_t count, llvm::function_ref<void(Value)> body);
  Value vectors(float value);

  prune::SelectBlocksOp op;
  mlir::Type keyType;
  int64_t size, rank, kvHeads, headDim, width; // of the queries of a KV head
  int64_t access; // elements that a lane reads at once
  int64_t across; // lanes that lie along a key
  int64_t beside; // positions that a warp reads at once
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_BLOCKSCORES_H
