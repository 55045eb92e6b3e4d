// Registration of everything: our dialects, passes and pipelines, and
// upstream's. Tools and tests call these; libraries load only the dialects that
// they need.
#ifndef COPPICE_INITALL_H
#define COPPICE_INITALL_H

namespace mlir {
class DialectRegistry;
}

namespace coppice {

/// Adds our dialects and all of upstream's, with their external models
/// (bufferization, tiling, lowering to LLVM) and the translation to LLVM IR.
void registerAllDialects(mlir::DialectRegistry &registry);

/// Registers our passes and pipelines and all of upstream's with the global
/// pass registry. Once a process.
void registerAllPasses();

} // namespace coppice

#endif // COPPICE_INITALL_H
