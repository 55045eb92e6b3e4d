//===- ProductCheck.h - products on a GPU against a triple loop -*- C++ -*-===//
//
// Shapes and data are drawn anew in each run; a failure prints the seed. On
// small integers float arithmetic is exact, so that results must be equal to
// the bit. The emulator reports what a GPU would not forgive.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_TEST_UNIT_NVPTX_PRODUCTCHECK_H
#define COPPICE_TEST_UNIT_NVPTX_PRODUCTCHECK_H

#include "support/GemmProblem.h"
#include "support/Kernels.h"

namespace coppice::test {

/// At most 90 columns and 200 of K, mostly odd ones.
GemmSpec drawProduct(llvm::StringRef input, llvm::StringRef weight,
                     llvm::StringRef output = "f32",
                     GemmSpec::Epilogue epilogue = GemmSpec::Epilogue::None);

/// Compiles a product as `compile` does and runs it for so many rows, by
/// default a few and many, with little and much of each set.
void checkProduct(const GemmSpec &spec, const nvptx::PlanOptions &options = {},
                  std::vector<int64_t> rowCounts = {});

} // namespace coppice::test

#endif // COPPICE_TEST_UNIT_NVPTX_PRODUCTCHECK_H
