// What one dispatch has to do comes in, with a machine; its bound, its
// predicted time and the terms that both are made of go out.
//
//   bound     = max(flops / best peak, cold bytes / best DRAM bandwidth)
//   base      = max(padded flops / typical peak * waves,
//                   cold bytes / typical DRAM bandwidth
//                     + warm bytes / bandwidth of the cache that holds them)
//   predicted = base / fraction(rows, depth) + fixed(rows)
//
// Padding: a product is computed in whole tiles. Waves: with `items` equal work
// items over `units` workers, the last round leaves some idle. Warm bytes are
// all that are not cold (activations); where no cache holds them they come from
// DRAM. `fraction` and `fixed` are a curve of the machine's (curve.h).
#ifndef COPPICE_RUNTIME_COSTMODEL_DISPATCH_TIME_H
#define COPPICE_RUNTIME_COSTMODEL_DISPATCH_TIME_H

#include "runtime/costmodel/machine.h"

#include <string>
#include <string_view>

namespace coppice::rt {

/// One dispatch in one step.
struct DispatchWork {
  std::string_view kind;    ///< "gemm", ...
  std::string_view storage; ///< of its weights or KV cache; empty: none
  Arithmetic arithmetic = Arithmetic::F32;
  double flops = 0, coldBytes = 0, warmBytes = 0;
  int64_t rows = 1;
  int64_t n = 0, k = 0; ///< of a product; else 0
  int64_t panel = 1;    ///< a product's columns are computed in such groups
  int64_t items = 0;    ///< work items; 0: not known
};

enum class Limit { Arithmetic, Memory, Fixed };
const char *nameOf(Limit limit);

struct DispatchTime {
  double boundSeconds = 0, predictedSeconds = 0;

  // The terms of `predictedSeconds`.
  double workFlops = 0, coldBytes = 0, warmBytes = 0; ///< as asked for
  double paddedFlops = 0, peakFlopsPerSecond = 0;
  double waves = 1; ///< workers' time over what it would be, evenly spread
  double computeSeconds = 0; ///< with padding and waves
  double coldSeconds = 0, warmSeconds = 0;
  double fraction = 1, fixedSeconds = 0;
  const Curve *curve = nullptr; ///< of the machine
  Limit limit = Limit::Memory;
};

/// `isa` is that of the code which runs.
DispatchTime timeOf(const DispatchWork &work, const Machine &machine,
                    std::string_view isa, int threads);

/// A product C[m,n] = sum_k A[m,k] W[n,k] by itself, weights cold, A and C in a
/// cache: what a benchmark of shapes measures. With kept sets, m, n and k are
/// what is kept.
struct GemmShape {
  int64_t m = 1, n = 1, k = 1;
  /// "f32", "f16" or "bf16".
  std::string_view inputStorage = "f32", weightStorage = "f32",
                   outputStorage = "f32";
  int64_t panel = 64;
  int64_t items = 0; ///< of the kernel's grid; 0: not known
};

DispatchTime timeOfGemm(const GemmShape &shape, const Machine &machine,
                        std::string_view isa, int threads);

} // namespace coppice::rt

#endif
