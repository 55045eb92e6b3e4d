//===- Passes.h - code generation for x86-64 --------------------*- C++ -*-===//

#ifndef COPPICE_CODEGEN_CPU_PASSES_H
#define COPPICE_CODEGEN_CPU_PASSES_H

#include "coppice/Target/CPUTarget.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace coppice {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "coppice/Codegen/CPU/Passes.h.inc"

/// The dialects and interface implementations that the passes here need.
void registerCodegenCPUDialects(mlir::DialectRegistry &registry);

/// `codegen-cpu`: a module of planned kernels to the LLVM dialect, with the
/// instructions of `target`.
void buildCodegenCPUPipeline(mlir::OpPassManager &manager,
                             const CPUTarget &target);
/// Registers `codegen-cpu`.
void registerCodegenCPUPipelines();

} // namespace coppice

#endif // COPPICE_CODEGEN_CPU_PASSES_H
