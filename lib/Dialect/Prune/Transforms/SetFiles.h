// What plans refer to in safetensors files: keep-sets, factors and masks.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_SETFILES_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_SETFILES_H

#include "coppice/Dialect/Prune/IR/Prune.h"
#include "runtime/base/safetensors.h"
#include <map>

namespace coppice::prune {

/// Opens each file once; relative paths start at the directory.
class SafetensorsSetReader : public SetFileReader {
public:
  void setDirectory(std::string path) { directory = std::move(path); }
  mlir::FailureOr<llvm::SmallVector<int64_t>>
  read(llvm::StringRef path, llvm::StringRef key, int64_t count,
       llvm::function_ref<mlir::InFlightDiagnostic()> emitError) override;

  /// The shape of a tensor of `rank` axes and of that element type (i1: a mask,
  /// BOOL or U8), whose path is taken as it is.
  mlir::FailureOr<llvm::SmallVector<int64_t>>
  find(llvm::StringRef path, llvm::StringRef key, mlir::Type element,
       llvm::function_ref<mlir::InFlightDiagnostic()> emitError,
       size_t rank = 2);

private:
  mlir::FailureOr<const rt::SafetensorsFile *>
  open(const std::string &name,
       llvm::function_ref<mlir::InFlightDiagnostic()> emitError);

  std::string directory;
  std::map<std::string, rt::SafetensorsFile> files;
};

/// The set of a decision about `name`, which has `count` of the decision's
/// dimension. A relative path starts at `directory`, or if that is empty at the
/// file that the decision is written in. Reports a set of another size, and one
/// that is empty.
mlir::FailureOr<SetAttr> resolveKeptSet(KeepOp op, llvm::StringRef name,
                                        int64_t count,
                                        SafetensorsSetReader &files,
                                        llvm::StringRef directory);

/// A path that the decision `op` names: relative to `directory`, or if that is
/// empty to the file that the decision is written in; an absolute one stays.
std::string resolvePlanPath(mlir::Operation *op, llvm::StringRef path,
                            llvm::StringRef directory);

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_SETFILES_H
