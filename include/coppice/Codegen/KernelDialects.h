//===- KernelDialects.h - what kernels are written in -----------*- C++ -*-===//

#ifndef COPPICE_CODEGEN_KERNELDIALECTS_H
#define COPPICE_CODEGEN_KERNELDIALECTS_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace coppice {

/// The dialects of planned kernels and of what is emitted for any target, with
/// the interface implementations by which kernels become loops (TiledLoops.h).
void registerKernelDialects(mlir::DialectRegistry &registry);

} // namespace coppice

#endif // COPPICE_CODEGEN_KERNELDIALECTS_H
