//===- RotaryKernel.cpp - the rotary embedding ----------------------------===//
//
// In: a kernel that is one `decoder.rotary`. Out: vector code.
//
// A work item is `rows` rows. Of each head, register v of the lower and of the
// upper half rotate by the same angles, which are loaded once for all heads:
//
//   for each register v of half a head:
//     load cosines, sines
//     for each head: lower, upper = lower * cos - upper * sin,
//                                   upper * cos + lower * sin
//   for each head: copy the columns that do not rotate
//
// Scalar code would need a division for each column, to know its head and its
// partner.
//
//===----------------------------------------------------------------------===//

#include "RunTimeSet.h"
#include "Strategies.h"
#include "VectorAccess.h"
#include "VectorMath.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Exec/IR/Exec.h"

using namespace mlir;

namespace coppice::cpu {
namespace {

class RotaryEmitter : KernelBuilder {
public:
  RotaryEmitter(ImplicitLocOpBuilder &b, const KernelShell &shell,
                const CPUTarget &target, decoder::RotaryOp op, int64_t rows)
      : KernelBuilder(b, shell), math(b, target), op(op), lanes(math.lanes()),
        rows(rows), headDim(op.getHeadDim()),
        rotated(op.getAngles().getType().getDimSize(1)),
        width(op.getInput().getType().getDimSize(1)) {}

  void emit() {
    Value extent = memref::DimOp::create(b, argumentOf(op.getInput()), 0);
    if (!op.getRowList())
      return forEachRow(extent, rows, [&](Value row) {
        rotateRow(row, index(0), index(width));
      });
    RunTimeSet set(b, shell, op.getRowList(), op.getRowCount(), 1, 1);
    set.forEach(extent, rows, [&](Value row) {
      auto [from, to] = set.columnsOf(width);
      rotateRow(row, from, to);
    });
  }

private:
  Value load(Value tensor, Value row, Value column, Value mask) {
    Value value =
        loadVector(b, argumentOf(tensor), getElementTypeOrSelf(tensor), lanes,
                   {row, column}, mask);
    return convertFloat(b, value, b.getF32Type());
  }
  void store(Value value, Value row, Value column, Value mask) {
    value = math.convert(value, getElementTypeOrSelf(op.getResult()));
    storeVector(b, value, shell.arguments.back(), {row, column}, mask);
  }

  /// The heads of columns [from, to) of a row.
  void rotateRow(Value row, Value from, Value to) {
    for (int64_t v = 0; v < rotated / 2; v += lanes)
      rotate(row, v, from, to);
    for (int64_t v = rotated; v < headDim; v += lanes)
      copy(row, v, from, to);
  }

  void rotate(Value row, int64_t v, Value from, Value to) {
    int64_t half = rotated / 2;
    Value kept = mask(half - v, lanes);
    Value cosine = load(op.getAngles(), row, index(v), kept);
    Value sine = load(op.getAngles(), row, index(half + v), kept);
    loop(from, to, headDim, [&](Value head) {
      Value low = add(head, v), high = add(head, half + v);
      Value x = load(op.getInput(), row, low, kept);
      Value y = load(op.getInput(), row, high, kept);
      Value crossed =
          arith::NegFOp::create(b, arith::MulFOp::create(b, y, sine));
      store(vector::FMAOp::create(b, x, cosine, crossed), row, low, kept);
      store(vector::FMAOp::create(b, y, cosine,
                                  arith::MulFOp::create(b, x, sine)),
            row, high, kept);
    });
  }

  void copy(Value row, int64_t v, Value from, Value to) {
    Value kept = mask(headDim - v, lanes);
    loop(from, to, headDim, [&](Value head) {
      Value column = add(head, v);
      store(load(op.getInput(), row, column, kept), row, column, kept);
    });
  }

  VectorMath math;
  decoder::RotaryOp op;
  int64_t lanes, rows, headDim, rotated, width;
};

} // namespace

std::optional<FailureOr<KernelPlan>> planRotary(func::FuncOp kernel) {
  auto rotary = getOnlyOp<decoder::RotaryOp>(kernel);
  if (!rotary)
    return std::nullopt;
  FailureOr<AffineExpr> extent = getArgumentExtent(
      kernel, cast<BlockArgument>(rotary.getInput()).getArgNumber(), 0);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());
  int64_t rows =
      rowsOfItem(2 * sizeof(float) * rotary.getInput().getType().getDimSize(1));
  return FailureOr<KernelPlan>(KernelPlan::always(
      kernel, makeConfig(kernel.getContext(), kRotary, {{"rows", rows}}),
      makeGrid(extent->ceilDiv(rows))));
}

FailureOr<func::FuncOp> emitRotary(func::FuncOp kernel,
                                   const CPUTarget &target) {
  auto rotary = getOnlyOp<decoder::RotaryOp>(kernel);
  if (!rotary)
    return kernel.emitError("expected one 'decoder.rotary' in a kernel of "
                            "strategy \"rotary\"");
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
  RotaryEmitter(builder, *shell, target, rotary, *rows).emit();
  kernel.erase();
  return shell->function;
}

} // namespace coppice::cpu
