//===- KSteps.cpp - a product's way along K -------------------------------===//

#include "KSteps.h"

#include "Product.h"
#include <numeric>

using namespace mlir;

namespace coppice::nvptx {

KSteps::KSteps(ImplicitLocOpBuilder &b, KernelShell &shell, prune::GemmOp gemm,
               int64_t depth)
    : KernelBuilder(b, shell), gemm(gemm), depth(depth),
      k(gemm.getWeight().getType().getDimSize(1)), group(getGroupOfK(gemm)) {}

int64_t KSteps::alignment() const { return std::gcd(8, std::gcd(k, group)); }

Value KSteps::count() {
  int64_t ofGroup = llvm::divideCeil(group, depth);
  if (gemm.getGroups())
    return mul(load(b.getI32Type(), argumentOf(gemm.getGroupCount())), ofGroup);
  return i32(gemm.hasRowsPerGroup() ? countGroups() * ofGroup : ofGroup);
}

KSteps::Step KSteps::stepAt(Value number) {
  if (!gemm.getGroups() && !gemm.hasRowsPerGroup())
    return {mul(number, depth), i32(k), Value()};
  int64_t ofGroup = llvm::divideCeil(group, depth);
  Value groupNumber = div(number, ofGroup), rest = rem(number, ofGroup);
  if (gemm.getGroups())
    groupNumber = loadElement(gemm.getGroups(), groupNumber);
  Value first = mul(groupNumber, group);
  return {add(first, mul(rest, depth)), min(add(first, group), i32(k)),
          gemm.hasRowsPerGroup() ? groupNumber : Value()};
}

} // namespace coppice::nvptx
