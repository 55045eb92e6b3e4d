//===- GemmCandidates.h - ways to block a matrix product --------*- C++ -*-===//
//
// In: the class of a matrix product (what its kernel is compiled for) and a
// bucket of row counts. Out: configurations worth timing, the cost model's
// choice first. What is chosen without a tuner is the first of each list.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_CODEGEN_CPU_GEMMCANDIDATES_H
#define COPPICE_CODEGEN_CPU_GEMMCANDIDATES_H

#include "coppice/Dialect/Exec/IR/Exec.h"
#include <numeric>

namespace coppice {

/// C[m,n] = sum_k A[m,k] W[n,k], with W packed into panels.
struct GemmClass {
  int64_t n, k;
  int64_t inputBytes;       // of an element of A
  int64_t weightBytes;      // of an element of W
  int64_t weights = 1;      // 2: two products of one input (gate and up)
  int64_t granule = 0;      // columns to a granule of a run-time set of panels
  int64_t kept = 0, of = 0; // N:M pattern of W that is made use of; 0: none

  /// Columns of a panel: 64 serve prefill and decode alike; narrow products
  /// would only multiply padding. A granule is whole panels.
  int64_t panel() const {
    return std::gcd(
        std::min<int64_t>(64, llvm::alignTo(std::max<int64_t>(n, 1), 16)),
        granule);
  }
  int64_t panelCount() const { return llvm::divideCeil(n, panel()); }
};

struct GemmConfig {
  int64_t panel = 64;  // columns of a panel of the packed weight
  int64_t rows = 512;  // at most, of a work item
  int64_t panels = 1;  // of a work item
  int64_t depth = 512; // K of a block; even
  int64_t height = 6;  // rows of a register tile, with 32 registers
  int64_t width = 64;  // columns of it
  int64_t least = 1;   // rows that the kernel is called for at the least
  int64_t unroll = 2;  // steps of an iteration along K
  int64_t ahead = 0;   // lines of weights that a step prefetches
  /// Of N:M weights: 0, values are selected; 1, parts of panels are made dense
  /// in the cache where the CPU has dot products; 2, everywhere.
  int64_t expand = 0;
  /// 1: the steps along K in which some row is not zero are found first, and no
  /// others are multiplied, so that their weights are not read.
  int64_t zeros = 0;

  /// `#exec.config<"gemm", ..>`.
  exec::ConfigAttr toAttr(mlir::MLIRContext *context) const;
};

/// Row counts that share a configuration: [least, most].
struct RowBucket {
  int64_t least, most;
};

/// Buckets from few rows to many; the last has no end.
llvm::ArrayRef<RowBucket> gemmRowBuckets();

/// Never empty; all of one panel width, which is the packing's.
llvm::SmallVector<GemmConfig> gemmCandidates(const GemmClass &gemm,
                                             const RowBucket &bucket);

} // namespace coppice

#endif // COPPICE_CODEGEN_CPU_GEMMCANDIDATES_H
