//===- Passes.h - code generation for NVIDIA GPUs ---------------*- C++ -*-===//

#ifndef COPPICE_CODEGEN_NVPTX_PASSES_H
#define COPPICE_CODEGEN_NVPTX_PASSES_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"

namespace coppice {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "coppice/Codegen/NVPTX/Passes.h.inc"

/// The dialects and interface implementations that the passes here need.
void registerCodegenNVPTXDialects(mlir::DialectRegistry &registry);

/// `codegen-nvptx`: a module of planned kernels to the LLVM and NVVM dialects,
/// ready for `emitPTX` and for the emulator.
void buildCodegenNVPTXPipeline(mlir::OpPassManager &manager);
/// Registers `codegen-nvptx`.
void registerCodegenNVPTXPipelines();

} // namespace coppice

#endif // COPPICE_CODEGEN_NVPTX_PASSES_H
