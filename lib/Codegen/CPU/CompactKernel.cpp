//===- CompactKernel.cpp - a mask of rows to lists of rows ----------------===//
//
// In: a kernel that is one `prune.compact`. Out: a pass over the mask for each
// of its groups, which is one work item: each row is written behind those that
// are kept so far, and stays there if it is kept. So there is no branch that
// could be mispredicted.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "Strategies.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

using namespace mlir;

namespace coppice::cpu {
namespace {

class CompactEmitter : KernelBuilder {
public:
  CompactEmitter(ImplicitLocOpBuilder &b, const KernelShell &shell)
      : KernelBuilder(b, shell) {}

  void emit(prune::CompactOp op) {
    Value mask = argumentOf(op.getMask());
    Value list = shell.arguments[1], count = shell.arguments[2];
    Type i32 = b.getI32Type();
    Value rows = memref::DimOp::create(b, mask, 0), zero = index(0);
    int64_t groups = op.getMask().getType().getDimSize(1);
    bool isMatrix = cast<MemRefType>(list.getType()).getRank() == 2;
    // No more items than groups, however many are asked for.
    loop(shell.begin, min(shell.end, index(groups)), 1, [&](Value group) {
      auto inList = [&](ValueRange position) {
        SmallVector<Value, 2> indices(position);
        if (isMatrix)
          indices.insert(indices.begin(), group);
        return indices;
      };
      ValueRange kept =
          loop(zero, rows, 1, zero, [&](Value row, ValueRange carried) {
            memref::StoreOp::create(b, arith::IndexCastOp::create(b, i32, row),
                                    list, inList(carried[0]));
            Value isKept =
                memref::LoadOp::create(b, mask, ValueRange{row, group});
            if (op.getPassed())
              isKept = arith::XOrIOp::create(
                  b, isKept,
                  arith::ConstantOp::create(
                      b, b.getIntegerAttr(isKept.getType(), 1)));
            return SmallVector<Value>{
                add(carried[0],
                    arith::IndexCastOp::create(b, b.getIndexType(), isKept))};
          });
      memref::StoreOp::create(b, arith::IndexCastOp::create(b, i32, kept[0]),
                              count, inList({}));
    });
  }
};

} // namespace

std::optional<FailureOr<KernelPlan>> planCompact(func::FuncOp kernel) {
  auto op = getOnlyOp<prune::CompactOp>(kernel);
  if (!op)
    return std::nullopt;
  MLIRContext *context = kernel.getContext();
  return FailureOr<KernelPlan>(
      KernelPlan::always(kernel, makeConfig(context, kCompact, {}),
                         makeGrid(getAffineConstantExpr(
                             op.getMask().getType().getDimSize(1), context))));
}

FailureOr<func::FuncOp> emitCompact(func::FuncOp kernel) {
  auto op = getOnlyOp<prune::CompactOp>(kernel);
  if (!op)
    return kernel.emitError("expected one 'prune.compact' in a kernel of "
                            "strategy \"compact\"");
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell =
      createKernelShell(builder, kernel, /*halvesAsBits=*/true);
  if (failed(shell))
    return failure();
  CompactEmitter(builder, *shell).emit(op);
  kernel.erase();
  return shell->function;
}

} // namespace coppice::cpu
