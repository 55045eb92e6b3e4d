// The watersheds of compilation, as pipelines: from a pruned module to an exec
// program, fast or as the oracle. They add passes and decide nothing.
#ifndef COPPICE_PIPELINES_PIPELINES_H
#define COPPICE_PIPELINES_PIPELINES_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace coppice {

struct ExecPipelineOptions : mlir::PassPipelineOptions<ExecPipelineOptions> {
  Option<std::string> target{*this, "target",
                             llvm::cl::desc("Target: cpu or nvptx"),
                             llvm::cl::init("cpu")};
  Option<std::string> tuning{
      *this, "tuning",
      llvm::cl::desc(
          "File of `coppice tune` with what was measured to be best; "
          "empty: the cost model chooses"),
      llvm::cl::init("")};
  Option<int64_t> maxRows{*this, "max-rows",
                          llvm::cl::desc("Limit of rows in one step"),
                          llvm::cl::init(4096)};
  Option<int64_t> maxBatch{*this, "max-batch",
                           llvm::cl::desc("Limit of sequences in the KV cache"),
                           llvm::cl::init(8)};
  Option<int64_t> maxContext{
      *this, "max-context",
      llvm::cl::desc("Limit of tokens per sequence; 0: the model's context"),
      llvm::cl::init(0)};
  Option<bool> narrowInputs{
      *this, "narrow-inputs",
      llvm::cl::desc(
          "Round the inputs of GEMMs with bf16 weights to bf16 where "
          "they are made; for nvptx those with f16 weights to f16, too"),
      llvm::cl::init(true)};
  ListOption<std::string> rounded{
      *this, "rounded",
      llvm::cl::desc("Values that the oracle rounds to bf16, as the program "
                     "that it is to be compared with does")};
  Option<bool> roundedToF16{*this, "rounded-to-f16",
                            llvm::cl::desc("Round those to f16 instead"),
                            llvm::cl::init(false)};
  Option<bool> force{
      *this, "force",
      llvm::cl::desc("Skip what is pruned at run time even where "
                     "dense is predicted to be faster"),
      llvm::cl::init(false)};
  Option<bool> taps{*this, "taps",
                    llvm::cl::desc("Fuse nothing, so that the value of every "
                                   "site can be observed"),
                    llvm::cl::init(false)};
};

/// `prune-to-exec`: a module of sites in `prune.gemm`, with projections, to an
/// exec.program with kernels chosen and memory planned.
void buildPruneToExecPipeline(mlir::OpPassManager &manager,
                              const ExecPipelineOptions &options);

/// `prune-to-oracle-exec`: the same module, dense shapes and masks in linalg,
/// one plain kernel an op. Shares no propagation, fusion or packing with the
/// other.
void buildPruneToOracleExecPipeline(mlir::OpPassManager &manager,
                                    const ExecPipelineOptions &options);

void registerExecPipelines();

} // namespace coppice

#endif // COPPICE_PIPELINES_PIPELINES_H
