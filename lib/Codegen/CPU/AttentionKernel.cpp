//===- AttentionKernel.cpp - causal attention over a KV cache -------------===//
//
// In: a kernel that is one `decoder.attention`. Out: vector code.
//
// "attention": a work item is a block of rows and one KV head, with all query
// heads that share it. The step is a bag of rows, so the item looks for runs in
// its block: rows of one slot at consecutive positions. A run attends as one
// matrix (AttentionRun.h). Any order of the rows is right; a prompt's own order
// is fast. Causal work grows with the position, so the last blocks come first:
// what is left for the end is small.
//
//===----------------------------------------------------------------------===//

#include "AttentionRun.h"
#include "Strategies.h"
#include "coppice/Dialect/Exec/IR/Exec.h"

using namespace mlir;

namespace coppice::cpu {
namespace {

class AttentionEmitter : KernelBuilder {
public:
  AttentionEmitter(ImplicitLocOpBuilder &b, const KernelShell &shell,
                   const CPUTarget &target, decoder::AttentionOp op,
                   int64_t rows, int64_t keys)
      : KernelBuilder(b, shell), op(op), rows(rows),
        attention(b, shell, target, op, rows, keys) {}

  void emit() {
    extent = memref::DimOp::create(b, argumentOf(op.getSlots()), 0);
    loop(shell.begin, shell.end, 1, [&](Value item) { emitItem(item); });
  }

private:
  Value load(Value tensor, Value row) {
    Value element =
        memref::LoadOp::create(b, argumentOf(tensor), ValueRange{row});
    return arith::IndexCastOp::create(b, b.getIndexType(), element);
  }
  Value compare(arith::CmpIPredicate predicate, Value lhs, Value rhs) {
    return arith::CmpIOp::create(b, predicate, lhs, rhs);
  }

  void emitItem(Value item);
  Value countRun(Value row, Value slot, Value position, Value limit);

  decoder::AttentionOp op;
  int64_t rows;
  AttentionRun attention;
  Value extent;
};

/// Walks over the runs of a block of rows. Where a run turns out to hold values
/// that some of its rows must not see, it is done again, row by row.
void AttentionEmitter::emitItem(Value item) {
  int64_t heads = op.getKvHeads();
  Value blocks = div(add(extent, rows - 1), rows);
  Value block = sub(sub(blocks, index(1)), div(item, heads));
  Value kvHead = rem(item, heads);
  Value first = mul(block, rows);
  Value end = min(add(first, rows), extent);

  // Rows before `single` are runs of their own.
  Type type = b.getIndexType();
  auto runs =
      scf::WhileOp::create(b, TypeRange{type, type}, ValueRange{first, first});
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Location> locations(2, b.getLoc());
  Block *before = b.createBlock(&runs.getBefore(), {}, {type, type}, locations);
  scf::ConditionOp::create(
      b, compare(arith::CmpIPredicate::slt, before->getArgument(0), end),
      before->getArguments());
  Block *after = b.createBlock(&runs.getAfter(), {}, {type, type}, locations);
  Value row = after->getArgument(0), single = after->getArgument(1);
  Value limit = arith::SelectOp::create(
      b, compare(arith::CmpIPredicate::slt, row, single), index(1),
      sub(end, row));
  Value slot = load(op.getSlots(), row);
  Value position = load(op.getPositions(), row);
  AttentionRun::Run run{row, countRun(row, slot, position, limit), slot,
                        position, kvHead};
  Value start = index(0);
  if (std::optional<uint64_t> window = op.getWindow())
    start = max(start, sub(add(position, 1), index(*window)));
  Value next = add(row, run.count);
  Value doubtful = attention.attend(run, start, add(position, run.count));
  attention.storeResult(run);
  scf::YieldOp::create(
      b, ValueRange{arith::SelectOp::create(b, doubtful, row, next),
                    arith::SelectOp::create(b, doubtful, next, single)});
}

/// How many rows from `row` on are a run; at least 1, at most `limit`.
Value AttentionEmitter::countRun(Value row, Value slot, Value position,
                                 Value limit) {
  Type type = b.getIndexType();
  auto counting =
      scf::WhileOp::create(b, TypeRange{type}, ValueRange{index(1)});
  OpBuilder::InsertionGuard guard(b);
  Block *before =
      b.createBlock(&counting.getBefore(), {}, {type}, {b.getLoc()});
  Value count = before->getArgument(0);
  auto inside =
      scf::IfOp::create(b, TypeRange(b.getI1Type()),
                        compare(arith::CmpIPredicate::slt, count, limit),
                        /*withElseRegion=*/true);
  b.setInsertionPointToStart(inside.thenBlock());
  Value other = add(row, count);
  auto equals = arith::CmpIPredicate::eq;
  scf::YieldOp::create(b,
                       ValueRange{arith::AndIOp::create(
                           b, compare(equals, load(op.getSlots(), other), slot),
                           compare(equals, load(op.getPositions(), other),
                                   add(position, count)))});
  b.setInsertionPointToStart(inside.elseBlock());
  Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
  scf::YieldOp::create(b, no);
  b.setInsertionPointToEnd(before);
  scf::ConditionOp::create(b, inside.getResult(0), count);
  Block *after = b.createBlock(&counting.getAfter(), {}, {type}, {b.getLoc()});
  scf::YieldOp::create(b, add(after->getArgument(0), 1));
  return counting.getResult(0);
}

} // namespace

std::optional<FailureOr<KernelPlan>> planAttention(func::FuncOp kernel,
                                                   const CPUTarget &target) {
  decoder::AttentionOp attention = getOnlyOp<decoder::AttentionOp>(kernel);
  if (!attention)
    return std::nullopt;
  FailureOr<AffineExpr> extent = getArgumentExtent(
      kernel, cast<BlockArgument>(attention.getQuery()).getArgNumber(), 0);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());

  // 128 query heads share what packing a key costs; blocks of keys and of
  // values, packed, take turns in the L1 cache.
  int64_t headDim = attention.getHeadDim();
  int64_t group = attention.getQueryHeads() / attention.getKvHeads();
  int64_t rows = std::max<int64_t>(1, (headDim > 128 ? 64 : 128) / group);
  int64_t keys = headDim > 128 ? 32 : headDim > 64 ? 64 : 128;
  return FailureOr<KernelPlan>(KernelPlan::always(
      kernel,
      makeConfig(kernel.getContext(), kAttention,
                 {{"rows", rows}, {"keys", keys}}),
      makeGrid(extent->ceilDiv(rows) * attention.getKvHeads())));
}

FailureOr<func::FuncOp> emitAttention(func::FuncOp kernel,
                                      const CPUTarget &target) {
  decoder::AttentionOp attention = getOnlyOp<decoder::AttentionOp>(kernel);
  if (!attention)
    return kernel.emitError("expected one 'decoder.attention' in a kernel of "
                            "strategy \"attention\"");
  FailureOr<int64_t> rows = getParameter(kernel, "rows");
  FailureOr<int64_t> keys = getParameter(kernel, "keys");
  if (failed(rows) || failed(keys))
    return failure();
  if (*rows <= 0)
    return kernel.emitError() << "expected a positive 'rows', found " << *rows;
  if (*keys <= 0 || *keys % 32)
    return kernel.emitError()
           << "expected 'keys' to be a multiple of 32, found " << *keys;

  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell =
      createKernelShell(builder, kernel, /*halvesAsBits=*/true);
  if (failed(shell))
    return failure();
  AttentionEmitter(builder, *shell, target, attention, *rows, *keys).emit();
  kernel.erase();
  return shell->function;
}

} // namespace coppice::cpu
