#include "ModuleFile.h"

#include "coppice/Dialect/Prune/IR/Prune.h"
#include "coppice/InitAll.h"
#include "runtime/base/atomic_file.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

using namespace coppice;
using namespace coppice::driver;

ModuleSession::ModuleSession() {
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  mlirContext = std::make_unique<mlir::MLIRContext>(registry);
  // Parsing loads what a file mentions; plans are made for files without one.
  mlirContext->loadDialect<prune::PruneDialect>();
  mlirContext->printOpOnDiagnostic(false); // one line, not a page of IR
  printer = std::make_unique<mlir::SourceMgrDiagnosticHandler>(
      sources, mlirContext.get(), llvm::errs());
  handler = std::make_unique<mlir::ScopedDiagnosticHandler>(
      mlirContext.get(),
      [this](mlir::Diagnostic &diagnostic) { report(diagnostic); });
}

ModuleSession::~ModuleSession() {
  handler.reset();
  printer.reset();
}

void ModuleSession::report(mlir::Diagnostic &diagnostic) {
  print(diagnostic);
  for (mlir::Diagnostic &note : diagnostic.getNotes())
    print(note);
}

void ModuleSession::print(mlir::Diagnostic &diagnostic) {
  mlir::Location location = diagnostic.getLocation();
  if (llvm::isa<mlir::UnknownLoc>(location)) {
    bool isError = diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error;
    llvm::errs() << "coppice: " << (isError ? "error" : "note") << ": "
                 << diagnostic << "\n";
    return;
  }
  printer->emitDiagnostic(location, diagnostic.str(), diagnostic.getSeverity(),
                          /*displaySourceLine=*/isShortLine(location));
}

/// The header of a module or of @forward may be some thousand columns: shown
/// below an error it would hide it.
bool ModuleSession::isShortLine(mlir::Location location) {
  constexpr size_t longest = 240;
  auto place = location->findInstanceOf<mlir::FileLineColLoc>();
  if (!place)
    return false;
  for (unsigned id = 1; id <= sources.getNumBuffers(); ++id) {
    const llvm::MemoryBuffer *buffer = sources.getMemoryBuffer(id);
    if (buffer->getBufferIdentifier() != place.getFilename().getValue())
      continue;
    llvm::SMLoc start = sources.FindLocForLineAndColumn(id, place.getLine(), 1);
    if (!start.isValid())
      return false;
    llvm::StringRef rest(start.getPointer(),
                         buffer->getBufferEnd() - start.getPointer());
    return rest.take_until([](char c) { return c == '\n'; }).size() <= longest;
  }
  return false;
}

mlir::OwningOpRef<mlir::ModuleOp> ModuleSession::read(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFileOrSTDIN(path);
  if (!buffer) {
    llvm::errs() << "coppice: error: cannot read '" << path
                 << "': " << buffer.getError().message() << "\n";
    return {};
  }
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  // Each file has a source manager of its own for the parser, which reads the
  // first buffer; `sources` is where diagnostics find the lines to show.
  auto parsed = std::make_shared<llvm::SourceMgr>();
  const llvm::MemoryBuffer *text =
      sources.getMemoryBuffer(sources.getNumBuffers());
  parsed->AddNewSourceBuffer(
      llvm::MemoryBuffer::getMemBuffer(text->getBuffer(),
                                       text->getBufferIdentifier()),
      llvm::SMLoc());
  return mlir::parseSourceFile<mlir::ModuleOp>(parsed, mlirContext.get());
}

bool driver::writeModule(mlir::ModuleOp module, const std::string &path) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  stream << "\n";
  rt::Status status = rt::writeFile(path, text);
  if (!status.ok())
    llvm::errs() << "coppice: error: " << status.message() << "\n";
  return status.ok();
}
