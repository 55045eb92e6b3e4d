//===- AttentionStages.h - the strategies of attention ----------*- C++ -*-===//
//
// One plan has several of them; AttentionKernel.cpp chooses, and emits what
// takes everything.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONSTAGES_H
#define COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONSTAGES_H

#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace coppice::nvptx {

/// Can products of matrices do it, with up to `lines` query heads that share a
/// KV head?
bool suitsMatrices(decoder::AttentionOp attention, int64_t lines);
/// Query heads that have a KV head and a list of rows in common.
int64_t headsOfUnit(decoder::AttentionOp attention);

mlir::LogicalResult emitAttentionMma(mlir::func::FuncOp kernel,
                                     decoder::AttentionOp attention);
mlir::LogicalResult emitAttentionSplit(mlir::func::FuncOp kernel,
                                       decoder::AttentionOp attention);
mlir::LogicalResult emitAttentionMerge(mlir::func::FuncOp kernel,
                                       decoder::AttentionOp attention);

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_ATTENTIONSTAGES_H
