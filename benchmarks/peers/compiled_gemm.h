//===- compiled_gemm.h - one GEMM kernel, compiled and loaded -------------===//
//
// In: the shape of a weight. Out: the kernel that `compile` would make for a
// GEMM with it, by the same planner and code generator, in this process.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_BENCHMARKS_PEERS_COMPILED_GEMM_H
#define COPPICE_BENCHMARKS_PEERS_COMPILED_GEMM_H

#include "runtime/base/packing.h"
#include "runtime/base/status.h"

#include <memory>
#include <string>
#include <vector>

namespace coppice::bench {

struct GemmClass {
  rt::DType dtype; // f32 or bf16; of the weight
  int64_t n, k;
  std::string isa = "host"; // as `compile --isa`
};

/// The instruction set that `compile --isa NAME` takes for a weight of `dtype`.
rt::Result<std::string> isaFor(const std::string &name, rt::DType dtype);

class CompiledGemm {
public:
  static rt::Result<std::unique_ptr<CompiledGemm>>
  compile(const GemmClass &gemm);
  virtual ~CompiledGemm() = default;

  /// The kernel ABI of docs/bundle.md; arguments: A, packed W, C, and the
  /// workspace if there is one.
  using Kernel = void (*)(void *const *args, const int64_t *symbols,
                          int64_t begin, int64_t end);
  struct Stage {
    Kernel kernel;
    int64_t items;
  };
  /// What to run for a product of some number of rows.
  struct Variant {
    std::vector<Stage> stages; // in this order
    int64_t workspaceBytes = 0;
    std::string config; // that was chosen, as `#exec.config` prints
  };
  virtual Variant variantFor(int64_t rows) const = 0;

  /// Of A: f32, or that of the weight.
  virtual rt::DType inputType() const = 0;
  virtual rt::Packing packing() const = 0;
};

} // namespace coppice::bench

#endif // COPPICE_BENCHMARKS_PEERS_COMPILED_GEMM_H
