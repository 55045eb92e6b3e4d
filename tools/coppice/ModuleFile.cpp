#include "ModuleFile.h"

#include "coppice/InitAll.h"
#include "runtime/base/atomic_file.h"

#include "mlir/IR/Diagnostics.h"
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
  mlirContext->printOpOnDiagnostic(false); // one line, not a page of IR
  diagnostics = std::make_unique<mlir::SourceMgrDiagnosticHandler>(
      sources, mlirContext.get(), llvm::errs());
}

ModuleSession::~ModuleSession() { diagnostics.reset(); }

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
