//===- GemmConfig.h - how a product is blocked on a GPU ---------*- C++ -*-===//
//
// The parameters of strategies "gemm" and "gemm_2of4", as in `exec.config`,
// and those that are worth trying.
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
  /// W keeps two of each four columns of K and is packed for tensor cores
  /// (runtime/base/nm_layout.h): "gemm_2of4".
  bool twoOfFour = false;

  int64_t threads() const {
    return rows / warpRows * (columns / warpColumns) * 32;
  }
  /// Of the tile of W, a step.
  int64_t weightBytes() const {
    return columns * (twoOfFour ? depth + depth / 8 : depth * 2);
  }
  /// Of the tiles of A and W.
  int64_t stepBytes() const { return rows * depth * 2 + weightBytes(); }
  /// Of all stages; sets of rows for groups take some more.
  int64_t sharedBytes() const { return stages * stepBytes(); }

  /// Blocks that a processor can hold at once, for their registers and their
  /// shared memory.
  int64_t residentBlocks() const;

  /// `#exec.config<"gemm", ..>`, or of "gemm_2of4".
  exec::ConfigAttr toAttr(mlir::MLIRContext *context) const;
};

/// Reads the configuration of `kernel`; reports what is missing or cannot be.
mlir::FailureOr<GemmConfig> getGemmConfig(mlir::func::FuncOp kernel);

/// Empty, or what about a configuration cannot be.
std::string checkGemmConfig(const GemmConfig &config);

/// Tiles that are worth trying, none split: of all weights, and of those that
/// keep two of four.
llvm::ArrayRef<GemmConfig> gemmCandidates(bool twoOfFour = false);

/// What a choice depends on.
struct GemmShape {
  int64_t rows, n, k;
  int64_t panel; // columns whose end no tile crosses: n, or those of a panel
  int64_t group; // columns of K whose end no step crosses: k, or a group's
  int64_t flaggedGroups = 0; // with rows of their own
  bool twoOfFour = false;    // of W are read

  /// Nothing is aligned to more than an element, so that all is loaded through
  /// registers, of which a tile must leave enough.
  bool throughRegisters() const { return k % 2 || group % 2; }
};

/// The last row count of each variant of a product; the last variant has no
/// end, and its tiles are for so many rows.
inline constexpr int64_t kRowBuckets[] = {8, 16, 32, 64, 128, 512, 4096};
/// That the sums of the parts of K may take in a variant: nothing in the last
/// one, where there are tiles enough.
constexpr int64_t getMostPartBytes(int64_t bucket) {
  return bucket == *std::prev(std::end(kRowBuckets)) ? 0 : 8 << 20;
}

/// What a processor of sm_80 has. A block's shared memory costs the system 1
/// KiB more.
struct Processor {
  static constexpr int64_t registers = 65536, sharedBytes = 164 * 1024,
                           systemBytes = 1024, warps = 64, blocks = 32;
};

/// The share of an A100 that a product is predicted to make use of: the least
/// time that all its products and bytes take, over the predicted time.
double predictEfficiency(const GemmConfig &config, const GemmShape &shape);

/// `config` with K cut into as many parts as are predicted to be fastest.
GemmConfig chooseSplits(GemmConfig config, const GemmShape &shape,
                        int64_t partBytes);

/// What is predicted to be fastest. K may be cut as long as the sums of its
/// parts take no more than `partBytes`.
GemmConfig chooseGemmConfig(const GemmShape &shape, int64_t partBytes);

} // namespace coppice::nvptx

#endif // COPPICE_CODEGEN_NVPTX_GEMMCONFIG_H
