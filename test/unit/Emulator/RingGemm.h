//===- RingGemm.h - a GEMM of cp.async, ldmatrix and mma.sync ---*- C++ -*-===//
//
// C[M,N] (f32) = A[M,K] . B[N,K]^T (bf16 or f16), for tests of the emulator: a
// ring of stages in shared memory filled by cp.async, rows of 64 bytes swizzled
// by XOR, ldmatrix.x4, mma.sync m16n8k16. M, N and K are what they are; rows of
// A and B start 16 bytes aligned, and what lies beyond K in the last 16 bytes
// is not read.
//
// A block of 128 threads computes 64 x 64, each warp 32 x 32.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_TEST_UNIT_EMULATOR_RINGGEMM_H
#define COPPICE_TEST_UNIT_EMULATOR_RINGGEMM_H

#include "mlir/IR/BuiltinOps.h"

namespace coppice {

/// Errors that one makes in such a kernel.
enum class Mistake {
  None,
  NoWait,            // for the copies of the stage that is computed
  WaitsForTooFew,    // one group less than needed
  NoBarrier,         // between the wait and the reads of other threads' copies
  BarrierOfSome,     // only the first two warps reach it
  WrongStage,        // computes the stage that is filled next
  RefillsTooEarly,   // a stage before the barrier after its reads
  ReadsUnswizzled,   // and so finds other columns
  WrongStride,       // rows of shared memory 80 bytes apart when read
  RowBoundOneTooFar, // of the stores
  ColumnBoundOneTooFar, // of the stores
  CopyBoundOneTooFar,   // of the rows of A
  NoPrologue,           // nothing is in the ring when it is first read
  OverwritesInFlight,   // one stage less than the copies need
};

struct RingGemm {
  int stages = 3;
  bool half = false; // f16 instead of bf16
  Mistake mistake = Mistake::None;
};

constexpr int kRingTile = 64; // rows and columns of a block
constexpr int kRingDepth = 32;
constexpr int kRingThreads = 128;

/// @gemm(A, B, C, M, N, K, row pitch of A, of B, of C in elements); grid (N, M)
/// in tiles.
mlir::OwningOpRef<mlir::ModuleOp> buildRingGemm(mlir::MLIRContext &context,
                                                const RingGemm &options);

/// Bytes of dynamic shared memory.
int ringSharedBytes(const RingGemm &options);

} // namespace coppice

#endif // COPPICE_TEST_UNIT_EMULATOR_RINGGEMM_H
