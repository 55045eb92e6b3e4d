//===- PatternLayout.h - what of weights is read ----------------*- C++ -*-===//
//
// In: a product whose weight has an N:M pattern. Out: the layout that its
// kernel reads, in panels as wide as the kernel's are, or nothing where the
// kernel reads and multiplies all as if there were no pattern. Costs and
// kernels both go by this.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_CODEGEN_CPU_PATTERNLAYOUT_H
#define COPPICE_CODEGEN_CPU_PATTERNLAYOUT_H

#include "coppice/Dialect/Prune/IR/Prune.h"
#include "runtime/base/nm_layout.h"

namespace coppice::cpu {

std::optional<rt::NMLayout> getPatternLayout(prune::GemmOp gemm);

/// Does a packing serve panels of `size` columns, or groups of `size` values
/// along K of a weight of `element`? Others are computed by plain loops.
bool arePanelsPacked(int64_t size);
bool areGroupsPacked(int64_t size, mlir::Type element);

/// The share of zeros that a kernel of few rows looks for in the input; 0 where
/// it does not, for a set or a pattern says already what is read.
double getZerosToFind(prune::GemmOp gemm);

} // namespace coppice::cpu

#endif // COPPICE_CODEGEN_CPU_PATTERNLAYOUT_H
