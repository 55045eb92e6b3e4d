//===- AttentionStages.h - the strategies of attention ----------*- C++ -*-===//
//
// One kernel plan has several of them; AttentionKernel.cpp chooses, and emits
// what takes everything.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONSTAGES_H
#define COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONSTAGES_H

#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace coppice::nvptx {

mlir::LogicalResult emitAttentionMma(mlir::func::FuncOp kernel,
                                     decoder::AttentionOp attention);

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONSTAGES_H
