//===- TuneGemms.h - time ways to block matrix products --------*- C++ -*-===//
//
// In: a class of matrix products, a bucket of row counts, an instruction set.
// Out: how long each candidate configuration takes here, and which is best.
//
// Candidates are compiled as `compile` would and run over the runtime's thread
// pool, on weights that rotate over copies of at least 4x the last-level cache.
// All candidates take turns, in an order that is drawn anew for each round, so
// that a machine that slows down slows all of them. The cost model's choice
// stays unless another's median is faster by more than 2 %: below that it
// would be noise that chooses.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_TUNE_TUNEGEMMS_H
#define COPPICE_TUNE_TUNEGEMMS_H

#include "coppice/Codegen/CPU/GemmCandidates.h"
#include "coppice/Target/CPUTarget.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace coppice::rt {
class ThreadPool;
} // namespace coppice::rt

namespace coppice {

struct TuneOptions {
  CPUTarget target;
  /// For one class and bucket, compiling not counted.
  double maxSeconds = 2;
  int64_t maxRounds = 30;
  uint64_t seed = 1;
};

struct TunedGemm {
  struct Timing {
    GemmConfig config;
    double seconds; // median of one product
  };
  int64_t rows = 0;               // that were timed
  std::vector<Timing> candidates; // the cost model's choice first
  size_t best = 0;                // index into `candidates`

  double gain() const {
    return candidates.front().seconds / candidates[best].seconds;
  }
};

/// The classes of the products in `kernels`, the module that
/// `exec-form-dispatches` makes; each once, in order.
std::vector<GemmClass> findGemmClasses(mlir::ModuleOp kernels);

/// How many rows stand for a bucket: the most, but 512 at most, which is where
/// times have long become proportional.
int64_t representativeRows(const RowBucket &bucket);

llvm::Expected<TunedGemm> tuneGemm(const GemmClass &gemm,
                                   const RowBucket &bucket,
                                   const TuneOptions &options,
                                   rt::ThreadPool &pool);

} // namespace coppice

#endif // COPPICE_TUNE_TUNEGEMMS_H
