//===- TileRegisters.h - products of AMX tiles ------------------*- C++ -*-===//
//
// The only place that knows the instructions of AMX by name. A tile is 16 rows
// of 64 bytes: 16 x 16 sums of f32, 16 rows of 32 bf16 of A, or 16 pairs along
// K of 16 columns of W. There are eight. Denormals are zeros, in and out.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_TILEREGISTERS_H
#define COPPICE_LIB_CODEGEN_CPU_TILEREGISTERS_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace coppice::cpu {

class TileRegisters {
public:
  using Value = mlir::Value;
  static constexpr int64_t rows = 16, columns = 16, depth = 32;

  explicit TileRegisters(mlir::ImplicitLocOpBuilder &b) : b(b) {}

  mlir::Type type();
  Value zero();
  /// From element `element` of `memref`, one axis or the first elements of
  /// several; `stride` bytes from row to row. All 16 rows are read.
  Value load(Value memref, Value element, int64_t stride);
  void store(Value tile, Value memref, Value element, int64_t stride);
  /// sums + a . w
  Value multiply(Value sums, Value a, Value w);

private:
  Value addressOf(Value memref, Value element);
  Value constant(int64_t value, unsigned bits);

  mlir::ImplicitLocOpBuilder &b;
};

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_TILEREGISTERS_H
