//===- PruneFormRowSets.cpp - what a route passes by is not computed ------===//
// In: a fused @forward with `prune.project_by .. into` of what a GEMM computes.
// Out: that GEMM over the rows that the mask keeps, updating `into`; and, above
// it, every op whose result is read in these rows only, over these rows too.
// One `prune.compact` a mask makes the list for all of them.
//
// Rows keep their numbers: what is not computed is left out in place, so that
// positions, residuals and caches are addressed as ever.
//===----------------------------------------------------------------------===//
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
struct RowSet {
  Value list, count;
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
        restrict(&op, *set);
    return formed;
  }

private:
  /// The rows that `op` is over, if not all.
  static std::optional<RowSet> getRows(Operation *op) {
    auto of = [](auto typed) {
      return typed.getRowList() ? std::optional(RowSet{typed.getRowList(),
                                                       typed.getRowCount()})
                                : std::nullopt;
    };
    if (auto gemm = dyn_cast<GemmOp>(op))
      return gemm.getRows()
                 ? std::optional(RowSet{gemm.getRows(), gemm.getRowCount()})
                 : std::nullopt;
    return llvm::TypeSwitch<Operation *, std::optional<RowSet>>(op)
        .Case<decoder::RMSNormOp, decoder::RotaryOp, decoder::AttentionOp>(of)
        .Default(std::nullopt);
  }

  /// Is `operand` read in the rows only that its op computes?
  static bool readsByRow(OpOperand &operand) {
    Operation *op = operand.getOwner();
    if (auto gemm = dyn_cast<GemmOp>(op))
      return operand.get() == gemm.getInput() ||
             (llvm::is_contained(gemm.getExtras(), operand.get()) &&
              operand.get() != gemm.getInto() &&
              cast<RankedTensorType>(operand.get().getType()).getRank() == 2);
    if (auto attention = dyn_cast<decoder::AttentionOp>(op))
      return operand.get() == attention.getQuery();
    return operand.getOperandNumber() == 0; // norm, rotary
  }

  /// The rows that all readers of `op` agree on.
  std::optional<RowSet> findReaders(Operation *op) {
    if (!isa<GemmOp, decoder::RMSNormOp, decoder::RotaryOp,
             decoder::AttentionOp>(op) ||
        getRows(op) || op->use_empty())
      return std::nullopt;
    if (auto gemm = dyn_cast<GemmOp>(op); gemm && gemm.hasSets())
      return std::nullopt;
    std::optional<RowSet> all;
    for (OpOperand &use : op->getUses()) {
      std::optional<RowSet> here = getRows(use.getOwner());
      if (!here || !readsByRow(use) || (all && all->list != here->list))
        return std::nullopt;
      all = here;
    }
    // The list must be there when the op comes.
    return all->list.getDefiningOp()->isBeforeInBlock(op) ? all : std::nullopt;
  }

  void restrict(Operation *op, RowSet set) {
    llvm::TypeSwitch<Operation *>(op)
        .Case<decoder::RMSNormOp, decoder::RotaryOp, decoder::AttentionOp>(
            [&](auto typed) {
              typed.getRowListMutable().assign(set.list);
              typed.getRowCountMutable().assign(set.count);
            })
        .Case([&](GemmOp gemm) {
          OpBuilder builder(gemm);
          // Of the list, not of the input: that would read the input whole.
          Value rows =
              tensor::DimOp::create(builder, gemm.getLoc(), set.list, 0);
          RankedTensorType type = gemm.getType();
          setRows(gemm, set,
                  tensor::EmptyOp::create(builder, gemm.getLoc(), type,
                                          ValueRange(rows)));
        });
    ++formed;
  }

  static void setRows(GemmOp gemm, RowSet set, Value into) {
    gemm.getRowsMutable().assign(set.list);
    gemm.getRowCountMutable().assign(set.count);
    gemm.getIntoMutable().assign(into);
    gemm.setRowSides(RowSides::Both);
  }

  /// `P_m gemm into r` is the GEMM over the rows of the mask, into r.
  void form(ProjectByOp op) {
    auto gemm = op.getInput().getDefiningOp<GemmOp>();
    if (!gemm || !op.getInto() || gemm.hasSets() || !gemm->hasOneUse() ||
        op.getMask().getType().getDimSize(1) != 1)
      return;
    setRows(gemm, getSet(op.getMask()), op.getInto());
    op.replaceAllUsesWith(gemm.getResult());
    op.erase();
    ++formed;
  }

  RowSet getSet(Value mask) {
    RowSet &set = sets[mask];
    if (set.list)
      return set;
    OpBuilder builder(mask.getContext());
    builder.setInsertionPointAfterValue(mask);
    int64_t rows = cast<RankedTensorType>(mask.getType()).getDimSize(0);
    std::string site;
    if (auto decide = mask.getDefiningOp<DecideOp>()) {
      StringRef name = decide.getSite();
      name.consume_back(".route");
      site = (name + ".rows").str();
    }
    auto compact = CompactOp::create(
        builder, mask.getLoc(),
        RankedTensorType::get({rows}, builder.getI32Type()),
        RankedTensorType::get({}, builder.getI32Type()), site, mask);
    return set = {compact.getList(), compact.getCount()};
  }

  DenseMap<Value, RowSet> sets; // by mask
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
