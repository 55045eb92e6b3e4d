//===- RotaryKernel.cpp - the rotary embedding, on a GPU ------------------===//
//
// In: a kernel that is one `decoder.rotary`. Out: a thread rotates one access
// of the lower half of a head's rotated columns together with its partner in
// the upper half: every element is read once, and the angles of a row, which
// all of its heads share, come from the cache. Columns that do not rotate are
// copied by threads of their own.
//
//===----------------------------------------------------------------------===//

#include "RowSet.h"
#include "Strategies.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include <numeric>

using namespace mlir;

namespace coppice::nvptx {
namespace {

constexpr int64_t kThreads = 256;

/// How a head is cut.
struct Head {
  explicit Head(decoder::RotaryOp op)
      : columns(op.getHeadDim()),
        half(op.getAngles().getType().getDimSize(1) / 2),
        count(op.getInput().getType().getDimSize(1) / columns) {}

  int64_t columns, half, count; // heads of a row
};

class RotaryEmitter : KernelBuilder {
public:
  RotaryEmitter(ImplicitLocOpBuilder &b, KernelShell &shell,
                decoder::RotaryOp op)
      : KernelBuilder(b, shell), op(op), head(op), access(accessOf(op)) {}

  static int64_t accessOf(decoder::RotaryOp op) {
    Head head(op);
    return elementsOfAccess(std::gcd(head.half, head.columns),
                            {getElementTypeOrSelf(op.getInput()),
                             getElementTypeOrSelf(op.getResult())});
  }
  /// Threads of a head: for pairs of accesses, and for what does not rotate.
  static int64_t threadsOf(decoder::RotaryOp op) {
    Head head(op);
    return (head.columns - head.half) / accessOf(op);
  }

  void emit() {
    int64_t groups = groupsOf(op.getRowList());
    int64_t heads = head.count / groups, perHead = threadsOf(op);
    Value rows = extentOf(op.getInput(), 0);
    RowSet set(b, shell, op.getInput(), op.getRowList(), op.getRowCount());
    forEachItem([&](Value item) {
      Value number = add(mul(item, shell.threads), thread());
      Value place = rem(number, perHead), unit = div(number, perHead);
      Value position = div(unit, heads), group = i32(0);
      if (groups > 1) {
        group = div(position, rows);
        position = rem(position, rows);
      }
      RowSet::Row row = set.at(group, position);
      ifThen(row.isThere, [&] {
        Value first =
            mul(add(mul(group, heads), rem(unit, heads)), head.columns);
        Value column = mul(place, access);
        bool isPartial = 2 * head.half < head.columns;
        if (!isPartial)
          return rotate(row.row, first, column);
        ifThen(less(column, i32(head.half)),
               [&] { rotate(row.row, first, column); });
        // Behind the lower half come the columns behind both.
        ifThen(less(i32(head.half - 1), column), [&] {
          Value at = add(first, add(column, head.half));
          store(load(op.getInput(), row.row, at), row.row, at);
        });
      });
    });
  }

private:
  Value load(Value tensor, Value row, Value column) {
    return loadFloats(getElementTypeOrSelf(tensor),
                      addressOf(tensor, {row, column}), access);
  }
  void store(Value values, Value row, Value column) {
    Type type = getElementTypeOrSelf(op.getResult());
    storeFloats(values, type,
                at(shell.arguments.back(), type, row,
                   i32(head.count * head.columns), column));
  }
  /// Columns from `column` on of the head at `first`, and their partners.
  void rotate(Value row, Value first, Value column) {
    Value low = add(first, column), high = add(low, head.half);
    Value x = load(op.getInput(), row, low), y = load(op.getInput(), row, high);
    Value cosine = load(op.getAngles(), row, column),
          sine = load(op.getAngles(), row, add(column, head.half));
    store(subF(mulF(x, cosine), mulF(y, sine)), row, low);
    store(addF(mulF(y, cosine), mulF(x, sine)), row, high);
  }

  decoder::RotaryOp op;
  Head head;
  int64_t access;
};

} // namespace

PlanOrNone planRotary(func::FuncOp kernel) {
  auto op = getOnlyOp<decoder::RotaryOp>(kernel);
  if (!op)
    return std::nullopt;
  FailureOr<AffineExpr> rows = getArgumentExtent(
      kernel, cast<BlockArgument>(op.getInput()).getArgNumber(), 0);
  if (failed(rows))
    return FailureOr<KernelPlan>(failure());
  int64_t ofRow = Head(op).count * RotaryEmitter::threadsOf(op);
  return FailureOr<KernelPlan>(planAlways(
      kernel, makeConfig(kernel.getContext(), kRotary, {{"threads", kThreads}}),
      makeGrid((*rows * ofRow).ceilDiv(kThreads))));
}

LogicalResult emitRotary(func::FuncOp kernel) {
  auto op = getOnlyOp<decoder::RotaryOp>(kernel);
  if (!op)
    return kernel.emitError("expected one 'decoder.rotary' in a kernel of "
                            "strategy \"rotary\"");
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  RotaryEmitter(builder, *shell, op).emit();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
