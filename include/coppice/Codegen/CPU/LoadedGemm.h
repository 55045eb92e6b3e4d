//===- LoadedGemm.h - one GEMM kernel, compiled and loaded ----*- C++ -*-===//
//
// In: what is multiplied, how it is blocked, and for which instruction set.
// Out: a kernel that can be called. For tests, benchmarks and the tuner, which
// want one kernel without a model around it:
//
//   GemmSpec spec{.n = 2048, .k = 2048, .input = "bf16", .weight = "bf16"};
//   GemmConfig config = gemmCandidates(spec.getClass(), bucket).front();
//   auto gemm = LoadedGemm::compile(spec, config, target);
//   // weight: packed by runtime/base/packing.h as {panels(), depth()}, or by
//   // runtime/base/nm_layout.h where there is an nmLayout()
//   (*gemm)->run({a, weight, c}, m, 0, (*gemm)->items(m));
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_CODEGEN_CPU_LOADEDGEMM_H
#define COPPICE_CODEGEN_CPU_LOADEDGEMM_H

#include "coppice/Codegen/CPU/GemmCandidates.h"
#include "coppice/Target/CPUTarget.h"
#include <memory>
#include <string>

namespace coppice {

/// C[m,n] = epilogue(sum_k A[m,k] W[n,k]); matrices are row-major and dense.
/// Run-time sets as `prune.gemm` has them, into what C held before.
struct GemmSpec {
  enum class Epilogue {
    None,
    Bias,     // + bias[n], of type `weight`
    Residual, // + C[m,n], what C held before; `output` is f32
  };

  int64_t n = 0, k = 0;
  /// Element types: "f32", "f16" or "bf16".
  std::string input = "f32", weight = "f32", output = "f32";
  Epilogue epilogue = Epilogue::None;
  /// `PerPanel` and `PerGroup`: a list for each panel or group, instead of a
  /// set of those.
  enum class Rows { All, Gather, Scatter, Both, PerPanel, PerGroup };
  Rows rows = Rows::All;
  /// Columns and values along K to a granule of their set; 0: no set.
  int64_t panelSize = 0, groupSize = 0;
  /// N:M pattern of W along K, for kernels that make use of it; 0: none.
  int64_t kept = 0, of = 0;
  /// Kernels that may look for zeros in A (`GemmConfig::zeros`).
  bool hasZeros = false;

  GemmClass getClass() const;
  /// How many lists of rows there are: 0, none.
  int64_t getRowLists() const;
  /// The kernel as `exec-form-dispatches` would make it, not yet planned.
  std::string getSource(llvm::StringRef name) const;
};

class LoadedGemm {
public:
  /// Reports what is wrong on stderr and fails. `dumpLLVM`: where the optimised
  /// LLVM IR is written, for inspection; may be empty.
  static mlir::FailureOr<std::unique_ptr<LoadedGemm>>
  compile(const GemmSpec &spec, const GemmConfig &config,
          const CPUTarget &target, const std::string &dumpLLVM = "");
  ~LoadedGemm();
  LoadedGemm(const LoadedGemm &) = delete;
  LoadedGemm &operator=(const LoadedGemm &) = delete;

  /// The packing of a weight.
  int64_t panels() const { return config.panel; }
  int64_t depth() const;
  std::optional<rt::NMLayout> nmLayout() const;

  /// Work items of a product of `m` rows; any thread may run any of them.
  int64_t items(int64_t m) const;

  /// Runs work items [begin, end). `args`: A, W, the bias if there is one, list
  /// and count of each set (rows, panels, groups), C. A list of rows has room
  /// for `m`; several lists are a matrix, their counts a vector.
  void run(llvm::ArrayRef<const void *> args, int64_t m, int64_t begin,
           int64_t end) const;

private:
  LoadedGemm(const GemmSpec &spec, const GemmConfig &config)
      : spec(spec), config(config) {}

  GemmSpec spec;
  GemmConfig config;
  void *library = nullptr;
  void (*kernel)(const void *const *, const int64_t *, int64_t,
                 int64_t) = nullptr;
};

} // namespace coppice

#endif // COPPICE_CODEGEN_CPU_LOADEDGEMM_H
