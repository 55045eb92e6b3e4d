// Keep-sets that lie in safetensors files.
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

private:
  std::string directory;
  std::map<std::string, rt::SafetensorsFile> files;
};

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_SETFILES_H
