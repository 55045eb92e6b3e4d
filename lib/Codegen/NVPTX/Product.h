//===- Product.h - kernels that are one matrix product ----------*- C++ -*-===//
//
// What the ways to compute a `prune.gemm` ask before they plan it.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_PRODUCT_H
#define COPPICE_LIB_CODEGEN_NVPTX_PRODUCT_H

#include "coppice/Codegen/KernelPlan.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

namespace coppice::nvptx {

/// The only op of the kernel, if it is a product of f32, f16 and bf16 into the
/// destination.
prune::GemmOp getProduct(mlir::func::FuncOp kernel);

/// How many rows there may be, whatever lists leave of them.
mlir::FailureOr<mlir::AffineExpr> getProductRows(mlir::func::FuncOp kernel,
                                                 prune::GemmOp gemm);

/// The argument that has so many rows.
mlir::Value getRowsOfWork(prune::GemmOp gemm);

/// How many numbers columns have (ProductPlaces.h), those of all panels
/// together: the last panel counts as a whole one.
int64_t countColumnNumbers(prune::GemmOp gemm);

/// Columns of K that a set keeps or leaves out together: all, without groups.
int64_t getGroupOfK(prune::GemmOp gemm);

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_PRODUCT_H
