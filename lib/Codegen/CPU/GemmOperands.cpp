//===- GemmOperands.cpp - what a kernel of strategy "gemm" computes -------===//

#include "GemmOperands.h"
#include "Strategies.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

using namespace mlir;

namespace coppice::cpu {

static Type elementOf(Value value) { return getElementTypeOrSelf(value); }

int64_t GemmOperands::n() const {
  return cast<ShapedType>(weights.front().getType()).getDimSize(0);
}

int64_t GemmOperands::k() const {
  return cast<ShapedType>(weights.front().getType()).getDimSize(1);
}

int64_t GemmOperands::pack() const {
  return elementOf(weights.front()).isBF16() ? 2 : 1;
}

GemmClass GemmOperands::getClass() const {
  auto bytes = [](Value value) {
    return elementOf(value).getIntOrFloatBitWidth() / 8;
  };
  return {n(), k(), bytes(input), bytes(weights.front()),
          static_cast<int64_t>(weights.size())};
}

exec::PackingAttr GemmOperands::packing(int64_t panel) const {
  return exec::PackingAttr::get(op->getContext(), panel, pack());
}

std::optional<GemmOperands> getGemmOperands(func::FuncOp kernel) {
  auto gemm = getOnlyOp<prune::GemmOp>(kernel);
  if (!gemm)
    return std::nullopt;
  auto isFloat = [](Type type) {
    return type.isF32() || type.isF16() || type.isBF16();
  };
  if (!llvm::all_of(gemm->getOperands(),
                    [&](Value value) { return isFloat(elementOf(value)); }) ||
      !isFloat(elementOf(gemm.getResult())) ||
      !gemm.getWeight().getType().hasStaticShape())
    return std::nullopt;
  GemmOperands operands;
  operands.op = gemm;
  operands.input = gemm.getInput();
  operands.weights = {gemm.getWeight()};
  operands.extras = gemm.getExtras();
  operands.result = elementOf(gemm.getResult());
  if (gemm.hasEpilogue())
    operands.epilogue = &gemm.getEpilogue().front();
  return operands;
}

} // namespace coppice::cpu
