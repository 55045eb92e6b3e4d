// coppice export: a pruned module in, a Hugging Face checkpoint out.
#ifndef COPPICE_EXPORT_EXPORT_H
#define COPPICE_EXPORT_EXPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdint>
#include <string>

namespace coppice {

/// How weights with N:M sparsity are stored.
enum class PatternLayout {
  Zeros,             // as whole matrices
  CompressedTensors, // those that are 2:4 as BitmaskLayout.h says
};

struct ExportOptions {
  /// The directory; replaced only if it is an exported checkpoint.
  std::string output;
  /// Where relative paths in the module start.
  std::string inputDirectory;
  /// Weights are split into files of at most so many bytes of tensors; a tensor
  /// that is larger has a file of its own.
  int64_t maxShardBytes = 5'000'000'000;
  PatternLayout patternLayout = PatternLayout::Zeros;
  /// What was done; may be null.
  llvm::raw_ostream *talk = nullptr;
};

/// Writes the model that is left of `module` (which is rewritten on the way),
/// such that importing it gives the same program. Errors are diagnostics of the
/// module's context and leave no file behind.
mlir::LogicalResult exportCheckpoint(mlir::ModuleOp module,
                                     const ExportOptions &options);

} // namespace coppice

#endif // COPPICE_EXPORT_EXPORT_H
