// Modules as files: read with clear errors, written whole or not at all.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/SourceMgr.h"

#include <memory>
#include <string>

namespace coppice::driver {

/// A context with all dialects whose diagnostics go to stderr, and the modules
/// read into it. Errors that are of no place in a file (a flag, an output) have
/// an unknown location.
class ModuleSession {
public:
  ModuleSession();
  ~ModuleSession();

  mlir::MLIRContext &context() { return *mlirContext; }
  /// Reads and verifies; null after an error has been printed.
  mlir::OwningOpRef<mlir::ModuleOp> read(const std::string &path);

private:
  void report(mlir::Diagnostic &diagnostic);
  void print(mlir::Diagnostic &diagnostic);
  bool isShortLine(mlir::Location location);

  llvm::SourceMgr sources;
  std::unique_ptr<mlir::MLIRContext> mlirContext;
  // Shows source lines; `handler` decides what it is given.
  std::unique_ptr<mlir::SourceMgrDiagnosticHandler> printer;
  std::unique_ptr<mlir::ScopedDiagnosticHandler> handler;
};

/// Writes the module as text; false after an error has been printed.
bool writeModule(mlir::ModuleOp module, const std::string &path);

} // namespace coppice::driver
