//===- WarpMatrix.h - products of a warp's matrices -------------*- C++ -*-===//
//
// In: bf16 or f16 in shared memory. Out: fragments of it (`ldmatrix.x4`), and
// products of fragments in f32 (`mma.sync.m16n8k16`, `mma.sp`); of padded
// tiles, those that a product takes.
//
// With a lane as 4 * group + member, a fragment of a product has, in register
// q, row group + 8 (q / 2) and column 2 member + q % 2. Two neighbouring ones
// are, rounded, the left-hand side of a further product: `pack`.
//
// Eight rows that are loaded at once must lie in different banks: rows an odd
// number of 16 bytes apart do.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_WARPMATRIX_H
#define COPPICE_LIB_CODEGEN_NVPTX_WARPMATRIX_H

#include "KernelBuilder.h"

namespace coppice::nvptx {

/// A tile in shared memory, a row of which lies in one piece.
struct PaddedTile {
  mlir::Value address;
  int64_t pitch; // bytes from a row to the next: an odd multiple of 16
};

class WarpMatrix : KernelBuilder {
public:
  WarpMatrix(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
             mlir::Type element)
      : KernelBuilder(b, shell), element(element) {}

  /// Four matrices of 8 x 8: lane 8 m + r gives the address of row r of matrix
  /// m, and has two neighbouring elements of each.
  mlir::SmallVector<mlir::Value> load(Value address, bool transposed = false);

  /// 16 rows by 16 elements, from a row (i32) and a piece of 8 elements on, as
  /// a left-hand side: 4 registers.
  mlir::SmallVector<mlir::Value> loadLeft(PaddedTile tile, mlir::Value row,
                                          int64_t piece);
  /// The same as two right-hand sides of 8 columns, 2 registers each: rows of
  /// the tile are columns of the product ..
  mlir::SmallVector<mlir::Value> loadRight(PaddedTile tile, mlir::Value row,
                                           int64_t piece);
  /// .. or, transposed, what the product adds up along.
  mlir::SmallVector<mlir::Value>
  loadRightTransposed(PaddedTile tile, mlir::Value row, int64_t piece);

  /// sums[0, 4) += left . right.
  void multiply(mlir::ValueRange left, mlir::ValueRange right,
                mlir::MutableArrayRef<mlir::Value> sums);
  /// The same with a left-hand side of 16 x 32 that has two of each four
  /// elements (`mma.sp.m16n8k32`), in the registers of one of 16 x 16, and a
  /// right-hand side of four registers. `positions` (i32): where in its four
  /// each is; lanes 2 * selector and 2 * selector + 1 of each four give them.
  void multiplySparse(mlir::ValueRange left, mlir::ValueRange right,
                      Value positions, int64_t selector,
                      mlir::MutableArrayRef<mlir::Value> sums);
  /// Two neighbouring fragments of a product as a left-hand side.
  mlir::SmallVector<mlir::Value> pack(mlir::ArrayRef<mlir::Value> first,
                                      mlir::ArrayRef<mlir::Value> second);

private:
  Value pieceAt(PaddedTile tile, Value row, Value piece);
  /// Fragments as products take them: of f16 vectors, of bf16 numbers of 32
  /// bits.
  llvm::SmallVector<Value> operandsOf(mlir::ValueRange registers);
  std::array<mlir::NVVM::MMATypes, 2> types() const;
  mlir::Type resultType();
  void unpack(Value product, mlir::MutableArrayRef<Value> sums);

  mlir::Type element;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_WARPMATRIX_H
