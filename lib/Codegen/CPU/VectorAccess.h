//===- VectorAccess.h - vectors of any storage type in memory ---*- C++ -*-===//
//
// LLVM promotes masked accesses of vectors of f16 and bf16 through f32, element
// by element and with library calls. So builders see such memory as i16 (see
// `createKernelShell`) and go through these functions, which reinterpret.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_VECTORACCESS_H
#define COPPICE_LIB_CODEGEN_CPU_VECTORACCESS_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace coppice {

/// Loads vector<lanes x storage>; lanes that `mask` (may be null) excludes are
/// zero and their memory is not touched.
mlir::Value loadVector(mlir::ImplicitLocOpBuilder &b, mlir::Value memref,
                       mlir::Type storage, int64_t lanes,
                       mlir::ValueRange indices, mlir::Value mask = {});

/// Stores a vector of the storage type of `memref`; masked lanes are not
/// touched.
void storeVector(mlir::ImplicitLocOpBuilder &b, mlir::Value vector,
                 mlir::Value memref, mlir::ValueRange indices,
                 mlir::Value mask = {});

/// Widens or narrows a float or a vector of floats to elements `element`.
mlir::Value convertFloat(mlir::ImplicitLocOpBuilder &b, mlir::Value value,
                         mlir::Type element);

} // namespace coppice

#endif // COPPICE_LIB_CODEGEN_CPU_VECTORACCESS_H
