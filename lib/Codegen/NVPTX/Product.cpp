//===- Product.cpp - kernels that are one matrix product ------------------===//

#include "Product.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace coppice::nvptx {

prune::GemmOp getProduct(func::FuncOp kernel) {
  auto gemm = getOnlyOp<prune::GemmOp>(kernel);
  if (!gemm || !gemm.getWeight().getType().hasStaticShape())
    return {};
  // What is not computed must be what the destination holds.
  auto isDestination = [&](Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getArgNumber() + 1 == kernel.getNumArguments();
  };
  auto isFloat = [](Value value) {
    Type type = getElementTypeOrSelf(value);
    return type.isF32() || type.isF16() || type.isBF16();
  };
  if (!isFloat(gemm.getInput()) || !isFloat(gemm.getWeight()) ||
      !isFloat(gemm.getResult()) || !llvm::all_of(gemm.getExtras(), isFloat) ||
      (gemm.getInto() && !isDestination(gemm.getInto())))
    return {};
  return gemm;
}

Value getRowsOfWork(prune::GemmOp gemm) {
  bool isList =
      gemm.getRows() && !gemm.hasRowsPerGroup() && !gemm.hasRowsPerPanel();
  return isList ? gemm.getRows() : gemm.getInput();
}

int64_t countColumnNumbers(prune::GemmOp gemm) {
  return llvm::alignTo(gemm.getWeight().getType().getDimSize(0),
                       gemm.getPanelSize().value_or(1));
}

int64_t getGroupOfK(prune::GemmOp gemm) {
  bool hasGroups = gemm.getGroups() || gemm.hasRowsPerGroup();
  return hasGroups ? static_cast<int64_t>(*gemm.getGroupSize())
                   : gemm.getWeight().getType().getDimSize(1);
}

FailureOr<AffineExpr> getProductRows(func::FuncOp kernel, prune::GemmOp gemm) {
  auto rows = cast<BlockArgument>(getRowsOfWork(gemm));
  return getArgumentExtent(kernel, rows.getArgNumber(), 0);
}

} // namespace coppice::nvptx
