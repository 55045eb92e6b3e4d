// The weights of a program: checked, sliced, packed, written.
#ifndef COPPICE_BUNDLE_PACKWEIGHTS_H
#define COPPICE_BUNDLE_PACKWEIGHTS_H

#include "coppice/Bundle/ProgramJson.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "llvm/Support/raw_ostream.h"

namespace coppice {

struct PackOptions {
  /// Where relative paths of weight files start: the folder of the module.
  std::string inputDirectory;
  bool allowNonFinite = false;
  /// Progress; may be null.
  llvm::raw_ostream *progress = nullptr;
};

/// Writes `directory`/weights.safetensors with every weight of `program` that
/// comes from a file, and fills in `storages` and `files` of `records`. Without
/// such weights no file is written.
mlir::LogicalResult packWeights(exec::ProgramOp program,
                                llvm::StringRef directory,
                                const PackOptions &options,
                                ProgramRecords &records);

} // namespace coppice

#endif // COPPICE_BUNDLE_PACKWEIGHTS_H
