//===- GemmConfig.h - how a product is blocked on a GPU ---------*- C++ -*-===//
//
// The parameters of strategy "gemm", as in `exec.config`, and those that are
// worth trying.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_CODEGEN_NVPTX_GEMMCONFIG_H
#define COPPICE_CODEGEN_NVPTX_GEMMCONFIG_H

#include "coppice/Dialect/Exec/IR/Exec.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace coppice::nvptx {

struct GemmConfig {
  int64_t rows = 64, columns = 64;         // of a block's tile of the result
  int64_t depth = 64;                      // of K, in a step
  int64_t warpRows = 32, warpColumns = 32; // of a warp's part of the tile
  int64_t stages = 4;                      // steps in shared memory
  /// K is cut into so many parts, whose sums a second stage adds up.
  int64_t splits = 1;

  int64_t threads() const {
    return rows / warpRows * (columns / warpColumns) * 32;
  }
  /// Of all stages; sets of rows for groups take some more.
  int64_t sharedBytes() const { return stages * (rows + columns) * depth * 2; }

  /// `#exec.config<"gemm", ..>`.
  exec::ConfigAttr toAttr(mlir::MLIRContext *context) const;
};

/// Reads the configuration of `kernel`; reports what is missing or cannot be.
mlir::FailureOr<GemmConfig> getGemmConfig(mlir::func::FuncOp kernel);

/// Empty, or what about a configuration cannot be.
std::string checkGemmConfig(const GemmConfig &config);

/// Tiles that are worth trying, none split.
llvm::ArrayRef<GemmConfig> gemmCandidates();

/// What is predicted to be fastest for so many rows. `canSplit`: K may be cut.
/// `throughRegisters`: an odd K is loaded through registers, of which a tile
/// must leave enough.
GemmConfig chooseGemmConfig(int64_t rows, int64_t n, int64_t k, bool canSplit,
                            bool throughRegisters);

} // namespace coppice::nvptx

#endif // COPPICE_CODEGEN_NVPTX_GEMMCONFIG_H
