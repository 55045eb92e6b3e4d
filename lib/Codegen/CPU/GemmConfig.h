//===- GemmConfig.h - how a matrix product is blocked -----------*- C++ -*-===//
//
// The parameters of strategy "gemm", as in `exec.config`. They do not depend on
// the instruction set; `registerTile` says what one makes of them.
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

/// Rows by vectors of sums that stay in registers.
struct RegisterTile {
  int64_t height;
  int64_t vectors;
};

/// 32 registers hold the tile that the configuration asks for; 16 hold six rows
/// by two vectors of any tile.
RegisterTile registerTile(const GemmConfig &config, const CPUTarget &target);

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_GEMMCONFIG_H
