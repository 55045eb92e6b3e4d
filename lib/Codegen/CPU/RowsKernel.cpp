//===- RowsKernel.cpp - norms, gathers and cache updates ------------------===//
//
// In: a kernel that is one `decoder.rms_norm`, `lookup` or `append`, or one
// `prune.gather` or `project_by`. Out: vector code, row by row; a work item is
// `rows` rows, so many that it is worth another thread's while.
//
// - rms_norm: a pass over a row for the sum of its squares, in four registers,
//   and a second one, in the L1 cache, for the products; head by head where it
//   norms heads. Only the rows of a set, where there is one.
// - lookup and append: a copy that widens or narrows. The rows of a lookup lie
//   anywhere in DRAM: while one is copied, the next one is fetched, and the
//   first one of an item before it begins.
// - gather: a vector of the table at a time. Where it names no column, the
//   first one is read and a zero is taken: a gather without a mask is as many
//   plain loads on processors that have no fast instruction for it.
// - project_by: a select for each group of columns, without a branch.
//
//===----------------------------------------------------------------------===//

#include "RunTimeSet.h"
#include "Strategies.h"
#include "VectorAccess.h"
#include "VectorMath.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace coppice::cpu {
namespace {

class RowsEmitter : KernelBuilder {
public:
  RowsEmitter(ImplicitLocOpBuilder &b, const KernelShell &shell,
              const CPUTarget &target, int64_t rows)
      : KernelBuilder(b, shell), math(b, target), lanes(math.lanes()),
        rows(rows) {}

  void emit(decoder::RMSNormOp op);
  void emit(decoder::LookupOp op);
  void emit(decoder::AppendOp op);
  void emit(prune::GatherOp op);
  void emit(prune::ProjectByOp op);

private:
  /// A row of memory whose elements have type `storage`: all indices but the
  /// last.
  struct Row {
    Value memref;
    Type storage;
    SmallVector<Value> indices;

    SmallVector<Value> at(Value column) const {
      SmallVector<Value> all = indices;
      all.push_back(column);
      return all;
    }
  };
  Row rowOf(Value tensor, ValueRange indices) {
    return {argumentOf(tensor), getElementTypeOrSelf(tensor),
            SmallVector<Value>(indices)};
  }
  /// A row of the destination, of an op whose result is new.
  Row resultRow(Value result, Value index) {
    return {shell.arguments.back(), getElementTypeOrSelf(result), {index}};
  }
  Value load(const Row &row, Value column, Value mask) {
    return convertFloat(
        b, loadVector(b, row.memref, row.storage, lanes, row.at(column), mask),
        b.getF32Type());
  }
  void store(Value value, const Row &row, Value column, Value mask) {
    storeVector(b, math.convert(value, row.storage), row.memref, row.at(column),
                mask);
  }
  Value loadIndex(Value tensor, Value row) {
    Value element =
        memref::LoadOp::create(b, argumentOf(tensor), ValueRange{row});
    return arith::IndexCastOp::create(b, b.getIndexType(), element);
  }
  Value extentOf(Value tensor) {
    return memref::DimOp::create(b, argumentOf(tensor), 0);
  }

  void forEachVector(int64_t width, int64_t unroll,
                     llvm::function_ref<void(Value, Value, int64_t)> body);
  Value squaresOf(const Row &row, Value from, int64_t width);
  void copy(const Row &from, const Row &to, int64_t width, const Row *next);
  void prefetch(const Row &row, Value column);

  VectorMath math;
  int64_t lanes, rows;
};

/// Builds `body(column, mask, number)` for the vectors of a row: a loop over
/// `unroll` of them at a time, and the rest; `number` counts those at a time.
void RowsEmitter::forEachVector(
    int64_t width, int64_t unroll,
    llvm::function_ref<void(Value, Value, int64_t)> body) {
  int64_t step = unroll * lanes, whole = width / step * step;
  if (whole)
    loop(index(0), index(whole), step, [&](Value column) {
      for (int64_t i = 0; i < unroll; ++i)
        body(add(column, i * lanes), {}, i);
    });
  for (int64_t column = whole; column < width; column += lanes)
    body(index(column), mask(width - column, lanes), (column - whole) / lanes);
}

/// The sum of the squares of `width` columns of a row, in all lanes.
Value RowsEmitter::squaresOf(const Row &row, Value from, int64_t width) {
  constexpr int64_t kSums = 4;
  SmallVector<Value> sums(kSums, zeros(math.f32s()));
  auto accumulate = [&](Value sum, Value column, Value mask) -> Value {
    Value x = load(row, add(from, column), mask);
    return vector::FMAOp::create(b, x, x, sum);
  };
  int64_t step = kSums * lanes, whole = width / step * step;
  sums = llvm::to_vector(loop(index(0), index(whole), step, sums,
                              [&](Value column, ValueRange carried) {
                                SmallVector<Value> next;
                                for (int64_t i = 0; i < kSums; ++i)
                                  next.push_back(accumulate(
                                      carried[i], add(column, i * lanes), {}));
                                return next;
                              }));
  for (int64_t i = 0; whole + i * lanes < width; ++i)
    sums[i] = accumulate(sums[i], index(whole + i * lanes),
                         mask(width - whole - i * lanes, lanes));
  auto sum = [&](Value lhs, Value rhs) -> Value {
    return arith::AddFOp::create(b, lhs, rhs);
  };
  return math.sumOfLanes(sum(sum(sums[0], sums[1]), sum(sums[2], sums[3])));
}

void RowsEmitter::emit(decoder::RMSNormOp op) {
  int64_t columns = op.getInput().getType().getDimSize(1);
  int64_t width = op.getNormedWidth(); // a row's, or a head's
  Row gain = rowOf(op.getGain(), {});
  auto constant = [&](float value) -> Value {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(math.f32s(), value));
  };
  auto norm = [&](const Row &from, const Row &to, Value first) {
    Value mean =
        arith::DivFOp::create(b, squaresOf(from, first, width),
                              constant(static_cast<float>(op.getDivisor())));
    Value root = math::SqrtOp::create(
        b, arith::AddFOp::create(b, mean,
                                 constant(op.getEpsilon().convertToFloat())));
    Value scale = arith::DivFOp::create(b, constant(1.0f), root);
    forEachVector(width, 4, [&](Value column, Value mask, int64_t) {
      Value at = add(first, column);
      Value x = arith::MulFOp::create(b, load(from, at, mask), scale);
      store(arith::MulFOp::create(b, x, load(gain, column, mask)), to, at,
            mask);
    });
  };
  auto normRow = [&](Value row, Value begin, Value end) {
    Row from = rowOf(op.getInput(), row), to = resultRow(op.getResult(), row);
    if (width == columns)
      return norm(from, to, index(0));
    loop(begin, end, width, [&](Value first) { norm(from, to, first); });
  };
  Value extent = extentOf(op.getInput());
  if (!op.getRowList())
    return forEachRow(extent, rows, [&](Value row) {
      normRow(row, index(0), index(columns));
    });
  RunTimeSet set(b, shell, op.getRowList(), op.getRowCount(), 1, 1);
  set.forEach(extent, rows, [&](Value row) {
    auto [begin, end] = set.columnsOf(columns);
    normRow(row, begin, end);
  });
}

void RowsEmitter::prefetch(const Row &row, Value column) {
  memref::PrefetchOp::create(b, row.memref, row.at(column), /*isWrite=*/false,
                             /*localityHint=*/3, /*isDataCache=*/true);
}

/// Copies a row; meanwhile `next` is fetched.
void RowsEmitter::copy(const Row &from, const Row &to, int64_t width,
                       const Row *next) {
  int64_t perLine = 512 / from.storage.getIntOrFloatBitWidth();
  forEachVector(width, 4, [&](Value column, Value mask, int64_t number) {
    if (next && number * lanes % perLine == 0)
      prefetch(*next, column);
    store(load(from, column, mask), to, column, mask);
  });
}

void RowsEmitter::emit(decoder::LookupOp op) {
  int64_t width = op.getResult().getType().getDimSize(1);
  Value extent = extentOf(op.getIndices()), last = sub(extent, index(1));
  auto source = [&](Value row) {
    return rowOf(op.getTable(), loadIndex(op.getIndices(), row));
  };
  int64_t perLine =
      512 / getElementTypeOrSelf(op.getTable()).getIntOrFloatBitWidth();
  loop(shell.begin, min(shell.end, add(shell.begin, 1)), 1, [&](Value item) {
    Row first = source(mul(item, rows));
    loop(index(0), index(width), perLine,
         [&](Value column) { prefetch(first, column); });
  });
  forEachRow(extent, rows, [&](Value row) {
    Row next = source(min(add(row, 1), last));
    copy(source(row), resultRow(op.getResult(), row), width, &next);
  });
}

void RowsEmitter::emit(decoder::AppendOp op) {
  int64_t width = op.getRows().getType().getDimSize(1);
  forEachRow(extentOf(op.getRows()), rows, [&](Value row) {
    copy(rowOf(op.getRows(), row),
         rowOf(op.getCache(), {loadIndex(op.getSlots(), row),
                               loadIndex(op.getPositions(), row)}),
         width, nullptr);
  });
}

void RowsEmitter::emit(prune::GatherOp op) {
  auto type = cast<RankedTensorType>(op.getType());
  auto i32s = VectorType::get(lanes, b.getI32Type());
  Value none = zeros(i32s), nothing = zeros(math.f32s());
  Value everywhere = arith::ConstantOp::create(
      b, DenseElementsAttr::get(VectorType::get(lanes, b.getI1Type()), true));
  forEachRow(extentOf(op.getInput()), rows, [&](Value row) {
    Row to = resultRow(op.getResult(), row);
    forEachVector(
        type.getDimSize(1), 4, [&](Value column, Value mask, int64_t) {
          Value from = loadVector(b, argumentOf(op.getColumns()),
                                  b.getI32Type(), lanes, column, mask);
          Value isThere =
              arith::CmpIOp::create(b, arith::CmpIPredicate::sge, from, none);
          Value x = vector::GatherOp::create(
              b, math.f32s(), argumentOf(op.getInput()),
              ValueRange{row, index(0)}, arith::MaxSIOp::create(b, from, none),
              everywhere, nothing);
          store(arith::SelectOp::create(b, isThere, x, nothing), to, column,
                mask);
        });
  });
}

void RowsEmitter::emit(prune::ProjectByOp op) {
  int64_t width = op.getType().getDimSize(1);
  int64_t size =
      op.getGroupSize() ? static_cast<int64_t>(*op.getGroupSize()) : width;
  auto f32Zeros = zeros(math.f32s());
  forEachRow(extentOf(op.getInput()), rows, [&](Value row) {
    Row from = rowOf(op.getInput(), row), to = resultRow(op.getResult(), row);
    auto project = [&](Value group, int64_t columns) {
      Value decision = memref::LoadOp::create(b, argumentOf(op.getMask()),
                                              ValueRange{row, group});
      Value isKept = arith::CmpIOp::create(
          b,
          op.getPassed() ? arith::CmpIPredicate::eq : arith::CmpIPredicate::ne,
          decision,
          arith::ConstantOp::create(b, b.getZeroAttr(decision.getType())));
      Value first = mul(group, size);
      forEachVector(columns, 4, [&](Value column, Value mask, int64_t) {
        Value at = add(first, column);
        Value other =
            op.getInto() ? load(rowOf(op.getInto(), row), at, mask) : f32Zeros;
        store(arith::SelectOp::create(b, isKept, load(from, at, mask), other),
              to, at, mask);
      });
    };
    int64_t whole = width / size;
    loop(index(0), index(whole), 1, [&](Value group) { project(group, size); });
    if (width % size)
      project(index(whole), width % size);
  });
}

/// The op of a kernel that this strategy takes, and the tensor whose rows are
/// its work; null for others.
std::pair<Operation *, BlockArgument> getOpAndRows(func::FuncOp kernel) {
  auto with = [](Operation *op, Value rows) {
    return std::pair(op, cast<BlockArgument>(rows));
  };
  if (auto norm = getOnlyOp<decoder::RMSNormOp>(kernel))
    return with(norm, norm.getInput());
  if (auto lookup = getOnlyOp<decoder::LookupOp>(kernel))
    return with(lookup, lookup.getIndices());
  if (auto append = getOnlyOp<decoder::AppendOp>(kernel))
    return with(append, append.getRows());
  // Vectors of the table are as long as those of the values.
  if (auto gather = getOnlyOp<prune::GatherOp>(kernel);
      gather && gather.getType().getElementType().isF32())
    return with(gather, gather.getInput());
  if (auto project = getOnlyOp<prune::ProjectByOp>(kernel);
      project && !project.getAmongAttr() &&
      project.getType().getElementTypeBitWidth() <= 32)
    return with(project, project.getInput());
  return {};
}

} // namespace

std::optional<FailureOr<KernelPlan>> planRows(func::FuncOp kernel) {
  auto [op, rowsOf] = getOpAndRows(kernel);
  if (!op)
    return std::nullopt;
  FailureOr<AffineExpr> extent =
      getArgumentExtent(kernel, rowsOf.getArgNumber(), 0);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());
  auto result = cast<ShapedType>(op->getResult(0).getType());
  int64_t rows =
      rowsOfItem(2 * sizeof(float) * result.getDimSize(result.getRank() - 1));
  return FailureOr<KernelPlan>(KernelPlan::always(
      kernel, makeConfig(kernel.getContext(), kRows, {{"rows", rows}}),
      makeGrid(extent->ceilDiv(rows))));
}

FailureOr<func::FuncOp> emitRows(func::FuncOp kernel, const CPUTarget &target) {
  Operation *op = getOpAndRows(kernel).first;
  if (!op)
    return kernel.emitError(
        "expected one 'decoder.rms_norm', 'decoder.lookup', "
        "'decoder.append', 'prune.gather' or 'prune.project_by' in a kernel of "
        "strategy \"rows\"");
  FailureOr<int64_t> rows = getParameter(kernel, "rows");
  if (failed(rows))
    return failure();
  if (*rows <= 0)
    return kernel.emitError() << "expected a positive 'rows', found " << *rows;
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell =
      createKernelShell(builder, kernel, /*halvesAsBits=*/true);
  if (failed(shell))
    return failure();
  RowsEmitter emitter(builder, *shell, target, *rows);
  llvm::TypeSwitch<Operation *>(op)
      .Case<decoder::RMSNormOp, decoder::LookupOp, decoder::AppendOp,
            prune::GatherOp, prune::ProjectByOp>(
          [&](auto each) { emitter.emit(each); });
  kernel.erase();
  return shell->function;
}

} // namespace coppice::cpu
