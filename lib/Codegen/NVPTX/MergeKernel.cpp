//===- MergeKernel.cpp - sums of parts of K to a product's result ---------===//
//
// In: a kernel that is one `prune.gemm`, and the sums of its parts of K in the
// workspace (GemmStore.h). Out: the parts are added up in their order, and the
// epilogue follows. A thread has one column, or a pair of them; a work item is
// as many columns of a row as the block has threads for.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "ProductEpilogue.h"
#include "ProductPlaces.h"
#include "Strategies.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

constexpr int64_t kThreads = 128;

class MergeEmitter : KernelBuilder {
public:
  MergeEmitter(ImplicitLocOpBuilder &b, KernelShell &shell, prune::GemmOp gemm,
               int64_t splits)
      : KernelBuilder(b, shell), gemm(gemm), splits(splits),
        places(b, shell, gemm), width(ProductPlaces::hasPairs(gemm) ? 2 : 1) {}

  LogicalResult emit() {
    int64_t ofRow =
        llvm::divideCeil(countColumnNumbers(gemm), shell.threads * width);
    LogicalResult done = success();
    forEachItem([&](Value item) {
      Value row = div(item, ofRow);
      Value number =
          mul(add(mul(rem(item, ofRow), shell.threads), thread()), width);
      ifThen(less(number, i32(countColumnNumbers(gemm))),
             [&] { done = computeElements(row, number); });
    });
    return done;
  }

private:
  LogicalResult computeElements(Value rowNumber, Value number) {
    Value panel;
    if (places.hasPanels()) {
      int64_t size = static_cast<int64_t>(*gemm.getPanelSize());
      panel = div(number, size);
      number = rem(number, size);
    }
    ProductPlaces::Row row = places.rowAt(rowNumber, panel);
    ProductPlaces::Column column = places.columnAt(number, panel);
    LogicalResult done = success();
    ifThen(both(row.isThere, column.isThere), [&] {
      ProductEpilogue epilogue(b, shell, gemm);
      auto operands = epilogue.load(row.result, column.column, width);
      SmallVector<Value> values = addParts(rowNumber, column.column);
      for (auto [value, operand] : llvm::zip_equal(values, operands)) {
        FailureOr<Value> result = epilogue.apply(value, operand);
        if (failed(result)) {
          done = failure();
          return;
        }
        value = *result;
      }
      storeElements(values, row.result, column.column);
    });
    return done;
  }

  SmallVector<Value> addParts(Value rowNumber, Value column) {
    Value rows = extentOf(getRowsOfWork(gemm), 0);
    Value n = extentOf(gemm.getWeight(), 0);
    Type type = VectorType::get(width, b.getF32Type());
    Value sum;
    for (int64_t part = 0; part < splits; ++part) {
      Value row = add(mul(rows, part), rowNumber);
      Value each = load(
          type, at(shell.workspace, b.getF32Type(), row, n, column), 4 * width);
      sum = sum ? addF(sum, each) : each;
    }
    SmallVector<Value> values;
    for (int64_t i = 0; i < width; ++i)
      values.push_back(LLVM::ExtractElementOp::create(b, sum, i32(i)));
    return values;
  }

  void storeElements(ArrayRef<Value> values, Value row, Value column) {
    auto type = VectorType::get(width, values.front().getType());
    Value destination =
        gemm->getParentOfType<func::FuncOp>().getArguments().back();
    store(vector::FromElementsOp::create(b, type, values),
          addressOf(destination, {row, column}),
          width * type.getElementTypeBitWidth() / 8);
  }

  prune::GemmOp gemm;
  int64_t splits;
  ProductPlaces places;
  int64_t width;
};

} // namespace

KernelStage planMerge(func::FuncOp kernel, prune::GemmOp gemm,
                      AffineExpr extent, int64_t splits) {
  int64_t width = ProductPlaces::hasPairs(gemm) ? 2 : 1;
  int64_t ofRow = llvm::divideCeil(countColumnNumbers(gemm), kThreads * width);
  KernelStage stage;
  stage.config = makeConfig(kernel.getContext(), kMerge,
                            {{"threads", kThreads}, {"splits", splits}});
  stage.grid = makeGrid(extent * ofRow);
  return stage;
}

LogicalResult emitMerge(func::FuncOp kernel) {
  prune::GemmOp gemm = getProduct(kernel);
  if (!gemm || !kernel->hasAttr(exec::workspaceAttrName))
    return kernel.emitError()
           << "expected one 'prune.gemm', and '" << exec::workspaceAttrName
           << "', in a kernel of strategy \"gemm_merge\"";
  FailureOr<int64_t> splits = getParameter(kernel, "splits");
  if (failed(splits))
    return failure();
  if (*splits < 1)
    return kernel.emitError()
           << "expected 'splits' to be 1 or more, found " << *splits;
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell) ||
      failed(MergeEmitter(builder, *shell, gemm, *splits).emit()))
    return failure();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
