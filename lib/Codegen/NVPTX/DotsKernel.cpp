//===- DotsKernel.cpp - matrix products, a warp an element ----------------===//
//
// In: a kernel that is one `prune.gemm`, of any floats, with any sets and any
// epilogue. Out: a warp computes an element of the result: its lanes go along
// K, in the order in which the weights lie in memory, and then add up.
//
// It is as right as it is simple, and what the other ways to compute a product
// are compared with. For one row, or where no instruction multiplies matrices
// (f32), it is also a good one.
//
// A work item is one row by as many columns as the block has warps. Rows and
// columns are positions in their lists, where there are some. Every lane comes
// to every exchange: what a warp does not have to compute ends before it
// begins.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "Product.h"
#include "ProductEpilogue.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

constexpr int64_t kThreads = 128;

class DotsEmitter : KernelBuilder {
public:
  DotsEmitter(ImplicitLocOpBuilder &b, KernelShell &shell, prune::GemmOp gemm)
      : KernelBuilder(b, shell), gemm(gemm) {}

  LogicalResult emit();

private:
  int64_t n() { return gemm.getWeight().getType().getDimSize(0); }
  int64_t k() { return gemm.getWeight().getType().getDimSize(1); }
  int64_t size(std::optional<uint64_t> granule) {
    return static_cast<int64_t>(*granule);
  }
  Value isInList(Value list, Value count, Value row);
  Value sumOver(Value sum, Value inputRow, Value column, Value from, Value to);
  Value sumAll(Value inputRow, Value column);
  LogicalResult computeElement(Value position, Value column);

  prune::GemmOp gemm;
};

/// Is `row` among the first `count` of an ascending list at this address?
Value DotsEmitter::isInList(Value list, Value count, Value row) {
  Value first = firstNotBelow(list, count, row);
  return ifThen(less(first, count), zero(b.getI1Type()), [&] {
    return SmallVector<Value>{
        equal(load(b.getI32Type(), at(list, mul(first, 4))), row)};
  })[0];
}

/// Adds the products of columns [from, to) along K that are this lane's.
Value DotsEmitter::sumOver(Value sum, Value inputRow, Value column, Value from,
                           Value to) {
  return loop(add(from, lane()), to, i32(32), sum,
              [&](Value each, ValueRange carried) {
                Value x = loadElement(gemm.getInput(), {inputRow, each});
                Value w = loadElement(gemm.getWeight(), {column, each});
                return SmallVector<Value>{fma(x, w, carried[0])};
              })[0];
}

/// This lane's part of the sum of an element.
Value DotsEmitter::sumAll(Value inputRow, Value column) {
  Value none = f32(0);
  if (gemm.getGroups()) {
    int64_t group = size(gemm.getGroupSize());
    return loop(i32(0), load(b.getI32Type(), argumentOf(gemm.getGroupCount())),
                i32(1), none, [&](Value position, ValueRange carried) {
                  Value number = loadElement(gemm.getGroups(), position);
                  Value from = mul(number, group);
                  return SmallVector<Value>{
                      sumOver(carried[0], inputRow, column, from,
                              min(add(from, group), i32(k())))};
                })[0];
  }
  if (gemm.hasRowsPerGroup()) {
    int64_t group = size(gemm.getGroupSize());
    return loop(i32(0), extentOf(gemm.getRows(), 0), i32(1), none,
                [&](Value number, ValueRange carried) {
                  Value count = loadElement(gemm.getRowCount(), number);
                  Value list = addressOf(gemm.getRows(), {number, i32(0)});
                  Value from = mul(number, group);
                  return llvm::to_vector(
                      ifThen(isInList(list, count, inputRow), carried, [&] {
                        return SmallVector<Value>{
                            sumOver(carried[0], inputRow, column, from,
                                    min(add(from, group), i32(k())))};
                      }));
                })[0];
  }
  return sumOver(none, inputRow, column, i32(0), i32(k()));
}

/// Row number `position` of the work, and a column of the weight.
LogicalResult DotsEmitter::computeElement(Value position, Value column) {
  Value inputRow = position, resultRow = position;
  auto compute = [&]() -> LogicalResult {
    Value sum = sumOfWarp(sumAll(inputRow, column));
    LogicalResult done = success();
    ifThen(equal(lane(), i32(0)), [&] {
      ProductEpilogue epilogue(b, shell, gemm);
      FailureOr<Value> value = epilogue.emit(sum, resultRow, column);
      if (failed(value))
        done = failure();
      else
        store(*value,
              at(shell.arguments.back(), getElementTypeOrSelf(gemm.getResult()),
                 resultRow, i32(n()), column));
    });
    return done;
  };
  if (!gemm.getRows() || gemm.hasRowsPerGroup())
    return compute();

  Value count, entry;
  if (gemm.hasRowsPerPanel()) {
    Value panel = div(column, size(gemm.getPanelSize()));
    count = loadElement(gemm.getRowCount(), panel);
    entry = addressOf(gemm.getRows(), {panel, position});
  } else {
    count = load(b.getI32Type(), argumentOf(gemm.getRowCount()));
    entry = addressOf(gemm.getRows(), position);
  }
  LogicalResult done = success();
  ifThen(less(position, count), [&] {
    Value row = load(b.getI32Type(), entry);
    if (*gemm.getRowSides() != prune::RowSides::Scatter)
      inputRow = row;
    if (*gemm.getRowSides() != prune::RowSides::Gather)
      resultRow = row;
    done = compute();
  });
  return done;
}

LogicalResult DotsEmitter::emit() {
  int64_t warps = shell.threads / 32;
  int64_t columns = llvm::divideCeil(n(), warps); // items of a row
  LogicalResult done = success();
  forEachItem([&](Value item) {
    Value position = div(item, columns);
    Value place = add(mul(rem(item, columns), warps), warp());
    ifThen(less(place, i32(n())), [&] {
      if (!gemm.getPanels()) {
        done = computeElement(position, place);
        return;
      }
      int64_t panel = size(gemm.getPanelSize());
      Value number = div(place, panel);
      Value count = load(b.getI32Type(), argumentOf(gemm.getPanelCount()));
      ifThen(less(number, count), [&] {
        Value column = add(mul(loadElement(gemm.getPanels(), number), panel),
                           rem(place, panel));
        ifThen(less(column, i32(n())),
               [&] { done = computeElement(position, column); });
      });
    });
  });
  return done;
}

} // namespace

PlanOrNone planDots(func::FuncOp kernel) {
  prune::GemmOp gemm = getProduct(kernel);
  if (!gemm)
    return std::nullopt;
  FailureOr<AffineExpr> extent = getProductRows(kernel, gemm);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());
  int64_t columns =
      llvm::divideCeil(gemm.getWeight().getType().getDimSize(0), kThreads / 32);
  return FailureOr<KernelPlan>(planAlways(
      kernel, makeConfig(kernel.getContext(), kDots, {{"threads", kThreads}}),
      makeGrid(*extent * columns)));
}

LogicalResult emitDots(func::FuncOp kernel) {
  prune::GemmOp gemm = getProduct(kernel);
  if (!gemm)
    return kernel.emitError("expected one 'prune.gemm' of f32, f16 or bf16, "
                            "into the destination, in a kernel of strategy "
                            "\"dots\"");
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell) || failed(DotsEmitter(builder, *shell, gemm).emit()))
    return failure();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
