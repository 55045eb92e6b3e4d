//===- GemmConfig.h - how a matrix product is blocked -----------*- C++ -*-===//
//
// The parameters of strategy "gemm", as in `exec.config`. They do not depend on
// the instruction set; `tileHeight` and `tileVectors` say what one makes of
// them.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_GEMMCONFIG_H
#define COPPICE_LIB_CODEGEN_CPU_GEMMCONFIG_H

#include "coppice/Codegen/CPU/GemmCandidates.h"
#include "coppice/Target/CPUTarget.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace coppice::cpu {

/// Reads the configuration of `kernel`; reports what is missing or cannot be.
mlir::FailureOr<GemmConfig> getGemmConfig(mlir::func::FuncOp kernel);

// A register tile is rows by vectors of sums that stay in registers. 32
// registers hold the tile that the configuration asks for. 16 hold six rows by
// two vectors; one row or two take more vectors, so that a whole panel, or half
// of it, streams through in the order in which it lies in memory, and sums do
// not wait for one another.

/// The most rows of a tile.
int64_t tileHeight(const GemmConfig &config, const CPUTarget &target);

/// Vectors of a row of a tile of `height` rows; they divide the panel.
int64_t tileVectors(const GemmConfig &config, const CPUTarget &target,
                    int64_t height);

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_GEMMCONFIG_H
