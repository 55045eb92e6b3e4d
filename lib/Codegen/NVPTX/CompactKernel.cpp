//===- CompactKernel.cpp - a mask of rows to lists of rows, on a GPU ------===//
//
// In: a kernel that is one `prune.compact`. Out: a block makes the list of a
// group: it goes through the rows in pieces of as many as it has threads.
// In each, a warp votes, so that a row knows how many rows of its warp come
// before it; the counts of the warps are added up through shared memory. No
// atomics: a list is always in order.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "Strategies.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

constexpr int64_t kThreads = 256;

class CompactEmitter : KernelBuilder {
public:
  CompactEmitter(ImplicitLocOpBuilder &b, KernelShell &shell,
                 prune::CompactOp op)
      : KernelBuilder(b, shell), op(op) {}

  void emit() {
    Value counts = allocateShared(shell.threads / 32 * 4);
    Value rows = extentOf(op.getMask(), 0);
    forEachItem([&](Value group) {
      Value total =
          loop(i32(0), rows, i32(shell.threads), i32(0),
               [&](Value first, ValueRange before) {
                 return SmallVector<Value>{addPiece(group, add(first, thread()),
                                                    rows, before[0], counts)};
               })[0];
      ifThen(equal(thread(), i32(0)),
             [&] { store(total, at(shell.arguments[2], mul(group, 4))); });
    });
  }

private:
  /// This thread's row, behind `before` kept ones of earlier pieces. Returns
  /// how many there are with this piece.
  Value addPiece(Value group, Value row, Value rows, Value before,
                 Value counts) {
    Value isKept = ifThen(less(row, rows), zero(b.getI1Type()), [&] {
      Value decision = loadElement(op.getMask(), {row, group});
      Value none = zero(decision.getType());
      return SmallVector<Value>{compare(
          op.getPassed() ? arith::CmpIPredicate::eq : arith::CmpIPredicate::ne,
          decision, none)};
    })[0];
    auto [keptBefore, kept] = countKept(isKept, counts);
    Value place = add(before, keptBefore);
    ifThen(isKept, [&] {
      bool isMatrix = cast<ShapedType>(op.getList().getType()).getRank() == 2;
      Value list = shell.arguments[1];
      store(row, isMatrix ? at(list, b.getI32Type(), group,
                               extentOf(op.getMask(), 0), place)
                          : at(list, mul(place, 4)));
    });
    barrier(); // the counts are written again
    return add(before, kept);
  }

  prune::CompactOp op;
};

} // namespace

PlanOrNone planCompact(func::FuncOp kernel) {
  auto op = getOnlyOp<prune::CompactOp>(kernel);
  if (!op)
    return std::nullopt;
  MLIRContext *context = kernel.getContext();
  return FailureOr<KernelPlan>(
      planAlways(kernel, makeConfig(context, kCompact, {{"threads", kThreads}}),
                 makeGrid(getAffineConstantExpr(
                     op.getMask().getType().getDimSize(1), context))));
}

LogicalResult emitCompact(func::FuncOp kernel) {
  auto op = getOnlyOp<prune::CompactOp>(kernel);
  if (!op)
    return kernel.emitError("expected one 'prune.compact' in a kernel of "
                            "strategy \"compact\"");
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  CompactEmitter(builder, *shell, op).emit();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
