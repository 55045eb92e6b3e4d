//===- PruneFormRowSets.cpp - what a route passes by is not computed ------===//
// In: a fused @forward with `prune.project_by .. into` of what a GEMM computes.
// Out: that GEMM over the rows that the mask keeps, updating `into`; and, above
// it, every op whose result is read in these rows only, over these rows too.
// One `prune.compact` a mask makes the list for all of them. Of a GEMM over the
// rows of each group of K, what makes these groups is over the same rows of the
// same groups of columns.
//
// Rows keep their numbers: what is not computed is left out in place, so that
// positions, residuals and caches are addressed as ever.
//===----------------------------------------------------------------------===//
#include "RowLists.h"
#include "coppice/Schedule/Passes.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

namespace coppice {
#define GEN_PASS_DEF_PRUNEFORMROWSETS
#include "coppice/Schedule/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

namespace {
/// Rows that are read: of all columns, or of each group of so many columns
/// those of a list of its own.
struct RowSet {
  Value list, count;
  int64_t columns = 0; // 0: one list

  bool operator==(const RowSet &other) const {
    return list == other.list && columns == other.columns;
  }
};

class RowSetFormer {
public:
  /// Returns how many ops compute less than all rows.
  int64_t run(func::FuncOp forward) {
    auto projections = llvm::to_vector(forward.getOps<ProjectByOp>());
    for (ProjectByOp op : projections)
      form(op);
    // Users first: an op may be left to the rows of those that read it.
    for (Operation &op :
         llvm::make_early_inc_range(llvm::reverse(forward.getBody().front())))
      if (std::optional<RowSet> set = findReaders(&op))
        if (canRestrict(&op, *set))
          restrict(&op, *set);
    // Who falls back is decided: kernels that are alike are one.
    for (Operation &op : forward.getBody().front())
      op.removeDiscardableAttr(PruneDialect::fallbackAttrName);
    return formed;
  }

private:
  static int64_t widthOf(Value value) {
    return cast<RankedTensorType>(value.getType()).getDimSize(1);
  }
  static std::optional<RowSet> makeSet(Value list, Value count, Value result) {
    if (!list)
      return std::nullopt;
    auto type = cast<RankedTensorType>(list.getType());
    return RowSet{list, count,
                  type.getRank() == 1 ? 0
                                      : widthOf(result) / type.getDimSize(0)};
  }

  /// In which rows, and columns, the reader of `operand` reads it; nothing: in
  /// all of them.
  static std::optional<RowSet> getReadRows(OpOperand &operand) {
    Operation *op = operand.getOwner();
    if (auto gemm = dyn_cast<GemmOp>(op))
      return getReadRows(gemm, operand.get());
    return llvm::TypeSwitch<Operation *, std::optional<RowSet>>(op)
        .Case([&](decoder::AttentionOp attention) {
          return operand.get() == attention.getQuery()
                     ? makeSet(attention.getRowList(), attention.getRowCount(),
                               attention.getQuery())
                     : std::nullopt;
        })
        .Case<decoder::RMSNormOp, decoder::RotaryOp>([&](auto typed) {
          return operand.getOperandNumber() == 0
                     ? makeSet(typed.getRowList(), typed.getRowCount(),
                               typed.getInput())
                     : std::nullopt;
        })
        .Default(std::nullopt);
  }

  static std::optional<RowSet> getReadRows(GemmOp gemm, Value operand) {
    if (!gemm.getRows() || operand == gemm.getInto())
      return std::nullopt;
    RowSet set{gemm.getRows(), gemm.getRowCount()};
    bool isInput = operand == gemm.getInput(),
         isExtra = llvm::is_contained(gemm.getExtras(), operand) &&
                   cast<RankedTensorType>(operand.getType()).getRank() == 2;
    if (gemm.hasRowsPerGroup()) {
      if (!isInput || isExtra)
        return std::nullopt;
      set.columns = static_cast<int64_t>(*gemm.getGroupSize());
      return set;
    }
    if (gemm.hasRowsPerPanel()) {
      // Each row of the input may be in some list.
      if (isInput || !isExtra || widthOf(operand) != widthOf(gemm.getResult()))
        return std::nullopt;
      set.columns = static_cast<int64_t>(*gemm.getPanelSize());
      return set;
    }
    return isInput || isExtra ? std::optional(set) : std::nullopt;
  }

  /// The rows that all readers of `op` agree on.
  static std::optional<RowSet> findReaders(Operation *op) {
    if (op->use_empty() || op->getNumResults() != 1)
      return std::nullopt;
    std::optional<RowSet> all;
    for (OpOperand &use : op->getUses()) {
      std::optional<RowSet> here = getReadRows(use);
      if (!here || (all && !(*all == *here)))
        return std::nullopt;
      all = here;
    }
    // The list must be there when the op comes.
    return all->list.getDefiningOp()->isBeforeInBlock(op) ? all : std::nullopt;
  }

  /// Is there a form of `op` that is over these rows alone?
  static bool canRestrict(Operation *op, const RowSet &set) {
    auto hasHeads = [&](int64_t headDim, Value list) {
      return !list && (set.columns == 0 || set.columns % headDim == 0);
    };
    return llvm::TypeSwitch<Operation *, bool>(op)
        .Case([](GemmOp gemm) {
          return !gemm.hasSets() &&
                 !gemm->hasAttr(PruneDialect::fallbackAttrName);
        })
        .Case([&](decoder::RMSNormOp norm) {
          bool hasRows = set.columns == 0 || norm.getHeadDimAttr();
          return hasRows && hasHeads(norm.getNormedWidth(), norm.getRowList());
        })
        .Case<decoder::RotaryOp, decoder::AttentionOp>([&](auto typed) {
          return hasHeads(typed.getHeadDim(), typed.getRowList());
        })
        .Default(false);
  }

  void restrict(Operation *op, const RowSet &set) {
    llvm::TypeSwitch<Operation *>(op)
        .Case<decoder::RMSNormOp, decoder::RotaryOp, decoder::AttentionOp>(
            [&](auto typed) {
              typed.getRowListMutable().assign(set.list);
              typed.getRowCountMutable().assign(set.count);
            })
        .Case([&](GemmOp gemm) {
          OpBuilder builder(gemm);
          // Of the list, not of the input: that would read the input whole.
          int64_t dim = set.columns ? 1 : 0;
          Value rows =
              tensor::DimOp::create(builder, gemm.getLoc(), set.list, dim);
          RankedTensorType type = gemm.getType();
          setRows(gemm, set,
                  tensor::EmptyOp::create(builder, gemm.getLoc(), type,
                                          ValueRange(rows)));
        });
    ++formed;
  }

  static void setRows(GemmOp gemm, const RowSet &set, Value into) {
    gemm.getRowsMutable().assign(set.list);
    gemm.getRowCountMutable().assign(set.count);
    gemm.getIntoMutable().assign(into);
    gemm.setRowSides(RowSides::Both);
    if (set.columns)
      gemm.setPanelSize(set.columns);
  }

  /// `P_m gemm into r` is the GEMM over the rows of the mask, into r.
  void form(ProjectByOp op) {
    auto gemm = op.getInput().getDefiningOp<GemmOp>();
    if (!gemm || !op.getInto() || gemm.hasSets() || !gemm->hasOneUse())
      return;
    CompactOp rows = lists.get(op.getMask(), op.getPassed() ? RowLists::Passed
                                                            : RowLists::Kept);
    setRows(gemm, {rows.getList(), rows.getCount()}, op.getInto());
    op.replaceAllUsesWith(gemm.getResult());
    op.erase();
    ++formed;
  }

  RowLists lists;
  int64_t formed = 0;
};

struct PruneFormRowSets
    : coppice::impl::PruneFormRowSetsBase<PruneFormRowSets> {
  void runOnOperation() override {
    func::FuncOp forward = getOperation();
    if (forward.getBody().hasOneBlock())
      formed += RowSetFormer().run(forward);
  }
};
} // namespace
