// Modules as files: read with clear errors, written whole or not at all.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/SourceMgr.h"

#include <memory>
#include <string>

namespace coppice::driver {

/// A context with all dialects whose diagnostics go to stderr, and the modules
/// read into it.
class ModuleSession {
public:
  ModuleSession();
  ~ModuleSession();

  mlir::MLIRContext &context() { return *mlirContext; }
  /// Reads and verifies; null after an error has been printed.
  mlir::OwningOpRef<mlir::ModuleOp> read(const std::string &path);

private:
  llvm::SourceMgr sources;
  std::unique_ptr<mlir::MLIRContext> mlirContext;
  std::unique_ptr<mlir::ScopedDiagnosticHandler> diagnostics;
};

/// Writes the module as text; false after an error has been printed.
bool writeModule(mlir::ModuleOp module, const std::string &path);

} // namespace coppice::driver
