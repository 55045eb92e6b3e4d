// The elements of a model's weights, wherever they come from.
#ifndef COPPICE_REPLACE_WEIGHTREADER_H
#define COPPICE_REPLACE_WEIGHTREADER_H

#include "runtime/base/safetensors.h"

#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

#include <optional>
#include <string>
#include <vector>

namespace coppice {

/// Reads `#decoder.file`, of whole tensors or of rows of them, and
/// `#decoder.generated`. Files are opened once; those whose hash the module has
/// must be the same still.
class WeightReader {
public:
  /// Relative paths start at `directory`.
  WeightReader(mlir::ModuleOp module, std::string directory)
      : module(module), directory(std::move(directory)) {}

  /// Is there such a tensor, of the global's type? Opens its file.
  mlir::LogicalResult check(mlir::ml_program::GlobalOp weight);

  /// The given rows and columns of a weight of two axes that has been checked,
  /// row by row, as f32 (storage types are exact in it). Safe on several
  /// threads.
  std::vector<float> read(mlir::ml_program::GlobalOp weight,
                          llvm::ArrayRef<int64_t> rows,
                          llvm::ArrayRef<int64_t> columns) const;

  /// The first of `elements`, which read() gave, that is NaN or Inf, and where
  /// it is: "NaN at [3, 5] of tensor 'up' in 'm.safetensors'". Nothing if all
  /// are finite.
  static std::optional<std::string>
  findNonFinite(mlir::ml_program::GlobalOp weight,
                llvm::ArrayRef<float> elements, llvm::ArrayRef<int64_t> rows,
                llvm::ArrayRef<int64_t> columns);

private:
  mlir::FailureOr<const rt::SafetensorsFile *>
  open(mlir::ml_program::GlobalOp weight, llvm::StringRef path);

  mlir::ModuleOp module;
  std::string directory;
  llvm::StringMap<rt::SafetensorsFile> files; // by the path that sources name
};

/// The storage type of weights with elements of `type`.
rt::DType getStorageType(mlir::Type type);

} // namespace coppice

#endif // COPPICE_REPLACE_WEIGHTREADER_H
