//===- BF16Instructions.h - what AVX512_BF16 adds ---------------*- C++ -*-===//
//
// The only place that knows the instructions of AVX512_BF16 by name. They treat
// denormals as zeros, in and out.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_BF16INSTRUCTIONS_H
#define COPPICE_LIB_CODEGEN_CPU_BF16INSTRUCTIONS_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace coppice {

/// vdpbf16ps: sums[i] + a[2i] * b[2i] + a[2i + 1] * b[2i + 1], for 16 sums
/// (vector<16xf32>) and 32 factors (vector<32xbf16>).
mlir::Value dotPairs(mlir::ImplicitLocOpBuilder &b, mlir::Value sums,
                     mlir::Value lhs, mlir::Value rhs);

/// vcvtneps2bf16: vector<16xf32> to vector<16xbf16>, to nearest even.
mlir::Value roundToBF16(mlir::ImplicitLocOpBuilder &b, mlir::Value value);

} // namespace coppice

#endif // COPPICE_LIB_CODEGEN_CPU_BF16INSTRUCTIONS_H
