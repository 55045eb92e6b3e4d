//===- RowsKernel.cpp - rows that are moved, on a GPU ---------------------===//
//
// In: a kernel that is one `decoder.lookup` or `append`, or one `prune.gather`
// or `project_by`. Out: a thread moves one access of a row: 16 bytes of the
// wider side, where the width allows it. Neighbouring threads move neighbouring
// bytes, through all rows, so that short rows fill warps, too.
//
// Where a projection keeps nothing, nothing is read.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "Strategies.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "llvm/ADT/TypeSwitch.h"
#include <numeric>

using namespace mlir;

namespace coppice::nvptx {
namespace {

constexpr int64_t kThreads = 256;

/// What a kernel moves.
struct Moved {
  Operation *op = nullptr; // null: nothing that this strategy takes
  Value rows;              // an argument with an extent of as many rows
  int64_t width = 0;       // elements of a row
  int64_t access = 0;      // of these, what a thread moves
};

class RowsEmitter : KernelBuilder {
public:
  RowsEmitter(ImplicitLocOpBuilder &b, KernelShell &shell, const Moved &moved)
      : KernelBuilder(b, shell), moved(moved) {}

  static Moved find(func::FuncOp kernel);

  void emit() {
    int64_t perRow = moved.width / moved.access;
    Value all = mul(extentOf(moved.rows, 0), perRow);
    forEachItem([&](Value item) {
      Value number = add(mul(item, shell.threads), thread());
      ifThen(less(number, all), [&] {
        Value row = div(number, perRow);
        Value column = mul(rem(number, perRow), moved.access);
        llvm::TypeSwitch<Operation *>(moved.op)
            .Case<decoder::LookupOp, decoder::AppendOp, prune::GatherOp,
                  prune::ProjectByOp>([&](auto op) { move(op, row, column); });
      });
    });
  }

private:
  static Moved of(Operation *op, Value rows, Value result, int64_t granule,
                  ArrayRef<Value> read) {
    auto type = cast<RankedTensorType>(result.getType());
    SmallVector<Type> types{type.getElementType()};
    for (Value each : read)
      types.push_back(getElementTypeOrSelf(each));
    int64_t width = type.getDimSize(type.getRank() - 1);
    return {op, rows, width, elementsOfAccess(std::gcd(width, granule), types)};
  }
  Value resultAt(Value result, Value row, Value column) {
    return at(shell.arguments.back(), getElementTypeOrSelf(result), row,
              i32(moved.width), column);
  }
  /// Copies an access; what has one type at both ends as it is.
  void copy(Value from, Type fromType, Value to, Type toType) {
    Value values = loadRun(fromType, from, moved.access);
    if (fromType == toType)
      storeRun(values, to);
    else
      storeFloats(convert(values, b.getF32Type()), toType, to);
  }

  void move(decoder::LookupOp op, Value row, Value column) {
    Value index = loadElement(op.getIndices(), row);
    copy(addressOf(op.getTable(), {index, column}),
         getElementTypeOrSelf(op.getTable()),
         resultAt(op.getResult(), row, column),
         getElementTypeOrSelf(op.getResult()));
  }
  void move(decoder::AppendOp op, Value row, Value column) {
    Value slot = loadElement(op.getSlots(), row),
          position = loadElement(op.getPositions(), row);
    copy(addressOf(op.getRows(), {row, column}),
         getElementTypeOrSelf(op.getRows()),
         addressOf(op.getCache(), {slot, position, column}),
         getElementTypeOrSelf(op.getCache()));
  }
  void move(prune::GatherOp op, Value row, Value column) {
    Type type = getElementTypeOrSelf(op.getResult());
    Value table = loadRun(b.getI32Type(), addressOf(op.getColumns(), column),
                          moved.access);
    SmallVector<Value> elements;
    for (int64_t i = 0; i < moved.access; ++i) {
      Value from = elementOf(table, i);
      elements.push_back(
          ifThen(compare(arith::CmpIPredicate::sge, from, i32(0)), zero(type),
                 [&]() -> SmallVector<Value> {
                   return {load(type, addressOf(op.getInput(), {row, from}))};
                 })[0]);
    }
    storeRun(runOf(elements), resultAt(op.getResult(), row, column));
  }
  void move(prune::ProjectByOp op, Value row, Value column) {
    Type type = getElementTypeOrSelf(op.getResult());
    Value group = i32(0);
    if (op.getGroupSize())
      group = div(column, static_cast<int64_t>(*op.getGroupSize()));
    Value decision = loadElement(op.getMask(), {row, group});
    Value isKept = compare(op.getPassed() ? arith::CmpIPredicate::eq
                                          : arith::CmpIPredicate::ne,
                           decision, zero(decision.getType()));
    auto loadFrom = [&](Value tensor) {
      return loadRun(type, addressOf(tensor, {row, column}), moved.access);
    };
    Value none = splat(zero(type), moved.access);
    Value values = ifThen(isKept, none, [&]() -> SmallVector<Value> {
      return {loadFrom(op.getInput())};
    })[0];
    if (op.getInto()) {
      Value isPassed = equal(isKept, zero(b.getI1Type()));
      values = ifThen(isPassed, values, [&]() -> SmallVector<Value> {
        return {loadFrom(op.getInto())};
      })[0];
    }
    storeRun(values, resultAt(op.getResult(), row, column));
  }

  Moved moved;
};

Moved RowsEmitter::find(func::FuncOp kernel) {
  if (auto lookup = getOnlyOp<decoder::LookupOp>(kernel))
    return of(lookup, lookup.getIndices(), lookup.getResult(), 0,
              lookup.getTable());
  if (auto append = getOnlyOp<decoder::AppendOp>(kernel))
    return of(append, append.getRows(), append.getResult(), 0,
              append.getRows());
  auto isStored = [](Value value) {
    Type type = getElementTypeOrSelf(value);
    return type.isF32() || type.isF16() || type.isBF16();
  };
  if (auto gather = getOnlyOp<prune::GatherOp>(kernel);
      gather && isStored(gather.getResult()))
    return of(gather, gather.getInput(), gather.getResult(), 0,
              gather.getColumns());
  // Which group a column is of follows from its number.
  if (auto project = getOnlyOp<prune::ProjectByOp>(kernel);
      project && !project.getAmongAttr() && isStored(project.getResult()))
    return of(project, project.getInput(), project.getResult(),
              project.getGroupSize().value_or(0), {});
  return {};
}

} // namespace

PlanOrNone planRows(func::FuncOp kernel) {
  Moved moved = RowsEmitter::find(kernel);
  if (!moved.op)
    return std::nullopt;
  FailureOr<AffineExpr> rows = getArgumentExtent(
      kernel, cast<BlockArgument>(moved.rows).getArgNumber(), 0);
  if (failed(rows))
    return FailureOr<KernelPlan>(failure());
  return FailureOr<KernelPlan>(planAlways(
      kernel, makeConfig(kernel.getContext(), kRows, {{"threads", kThreads}}),
      makeGrid((*rows * (moved.width / moved.access)).ceilDiv(kThreads))));
}

LogicalResult emitRows(func::FuncOp kernel) {
  Moved moved = RowsEmitter::find(kernel);
  if (!moved.op)
    return kernel.emitError(
        "expected one 'decoder.lookup', 'decoder.append', 'prune.gather' or "
        "'prune.project_by' in a kernel of strategy \"rows\"");
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  RowsEmitter(builder, *shell, moved).emit();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
