// How much there is to do: parameters, FLOPs and bytes of a module, by its
// shapes. Projections are not looked into: a module with projections counts as
// dense, a propagated one as what is left. Of a weight with N:M sparsity what
// may be other than zero counts: so many parameters and products, and bytes for
// the values and for their places in the groups. Other zeros count as any
// number. Of rows that a route keeps as many count as are expected.
#ifndef COPPICE_ANALYSIS_WORK_H
#define COPPICE_ANALYSIS_WORK_H

#include "mlir/IR/BuiltinOps.h"

#include <vector>

namespace coppice::decoder {
class AttentionOp;
}

namespace coppice {

/// Work of one step as coefficients of its sizes. A multiply-add is 2 FLOP;
/// what is not a matrix multiplication or attention is not counted.
struct Work {
  int64_t parameters = 0;  // elements of all globals
  int64_t weightBytes = 0; // their storage
  int64_t gatheredBytes =
      0; // weights of which a row needs one line only (embedding)
  int64_t gatheredBytesPerRow = 0;   // that line
  int64_t flopsPerRow = 0;           // matrix multiplications of the layers
  int64_t flopsPerHeadRow = 0;       // matrix multiplications outside of layers
  int64_t cacheBytesPerPosition = 0; // of all caches
  /// Of the weights that only rows kept by routes meet: what one row alone is
  /// expected not to read.
  double weightBytesPassedBy = 0;
  /// One for each attention op, and for each choice of blocks by score: for one
  /// row and one position it attends to, or scores.
  struct Attention {
    int64_t flops = 0, cacheBytes = 0;
    int64_t window = 0; // 0: none
  };
  std::vector<Attention> attentions;

  /// FLOPs and bytes (weights and KV cache) of a prompt of `tokens`, or of one
  /// more token after `context` others.
  struct Phase {
    double flops = 0, bytes = 0;
  };
  Phase prefill(int64_t tokens) const;
  Phase decode(int64_t context) const;
};

Work countWork(mlir::ModuleOp module);

/// Positions that a row attends to, at the least, once it sees that many: those
/// of a window, or of the blocks that are in a list; 0 where there are neither.
/// Of the last block of a list a row sees at least its own position, and of the
/// first one of a window perhaps no more.
int64_t getAttendedPositions(decoder::AttentionOp attention);

} // namespace coppice

#endif // COPPICE_ANALYSIS_WORK_H
