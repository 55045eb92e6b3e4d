//===- AttentionMmaKernel.cpp - attention by products of matrices ---------===//
//
// "attention_mma": a work item is a block of rows and the query heads that
// share a KV head (and a list of rows, where heads have their own). The step is
// a bag of rows, so the item looks for runs in its block: rows of one slot at
// consecutive positions, or at ascending ones where rows are of a list. A run
// attends as one matrix (AttentionTiles.h). Any order of the rows is right; a
// prompt's own order is fast.
//
// Causal work grows with the position, so the last blocks come first: what is
// left for the end is small.
//
//===----------------------------------------------------------------------===//

#include "AttentionStages.h"
#include "AttentionTiles.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

class AttentionMmaEmitter : AttentionBuilder {
public:
  AttentionMmaEmitter(ImplicitLocOpBuilder &b, KernelShell &shell,
                      decoder::AttentionOp op, int64_t rows, int64_t keys)
      : AttentionBuilder(b, shell, op), rows(rows),
        attention(b, shell, op, keys) {}

  void emit() {
    forEachItem([&](Value item) {
      item = sub(sub(shell.items, i32(1)), item);
      int64_t units = attention.units();
      Value unit = rem(item, units), first = mul(div(item, units), rows);
      Value count = countRows(attention.firstHeadOf(unit));
      emitBlock(first, min(add(first, rows), count), unit);
    });
  }

private:
  /// Walks over the runs of the rows [first, end).
  void emitBlock(Value first, Value end, Value unit) {
    scf::WhileOp::create(
        b, TypeRange{b.getI32Type()}, ValueRange{first},
        [&](OpBuilder &, Location, ValueRange row) {
          scf::ConditionOp::create(b, less(row[0], end), row);
        },
        [&](OpBuilder &, Location, ValueRange row) {
          AttentionTiles::Run run =
              attention.findRun(row[0], sub(end, row[0]), unit);
          attention.storeResult(run, attention.attend(run));
          scf::YieldOp::create(b, ValueRange{add(row[0], run.count)});
        });
  }

  int64_t rows;
  AttentionTiles attention;
};

} // namespace

LogicalResult emitAttentionMma(func::FuncOp kernel,
                               decoder::AttentionOp attention) {
  FailureOr<int64_t> rows = getParameter(kernel, "rows");
  FailureOr<int64_t> keys = getParameter(kernel, "keys");
  if (failed(rows) || failed(keys))
    return failure();
  if (*rows < 1 || *keys < 16 || *keys % 16)
    return kernel.emitError() << "expected a positive 'rows' and 'keys' that "
                                 "are a multiple of 16, found "
                              << *rows << " and " << *keys;
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  shell->setResidentBlocks(1);
  AttentionMmaEmitter(builder, *shell, attention, *rows, *keys).emit();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
