//===- PruneFormGathers.cpp - left-over S and E to gathers of columns -----===//
// In: a propagated @forward, its weights folded; what restrictions and
// extensions of computed columns are left. Out: a prune.gather for each, by a
// table that is a global of its own.
//
// Such a one is most often the index map S_k E_l between two boundaries of the
// residual stream. That map belongs to neither sublayer: it is made where the
// old residual is, before the sublayer that adds to it, and named so that no
// sublayer owns it. Thus a sublayer that is switched off at run time still
// leaves the residual in the form that the next one reads.
//===----------------------------------------------------------------------===//
#include "coppice/Schedule/Passes.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"

namespace coppice {
#define GEN_PASS_DEF_PRUNEFORMGATHERS
#include "coppice/Schedule/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

/// Is this a value of the step, [rows, columns] of floats?
static bool isComputed(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  Operation *op = value.getDefiningOp();
  return type && type.getRank() == 2 && !type.isDynamicDim(1) &&
         type.getDimSize(1) > 0 && isa<FloatType>(type.getElementType()) &&
         !(op &&
           (isa<ml_program::GlobalLoadConstOp, ml_program::GlobalLoadOp>(op) ||
            op->hasTrait<OpTrait::ConstantLike>()));
}

/// The sum of the residual and a sublayer's value that is the only reader of
/// `value`; null if there is none.
static Operation *findSum(Value value) {
  if (!value.hasOneUse())
    return nullptr;
  auto sum = dyn_cast<linalg::GenericOp>(*value.user_begin());
  if (!sum)
    return nullptr;
  std::optional<LayerSite> site = parseLayerSite(getSite(sum));
  bool isSum = site && site->rest.empty() && site->sublayer != site->layerName;
  return isSum ? sum : nullptr;
}

namespace {
/// Makes the gathers of one module.
class GatherFormer {
public:
  explicit GatherFormer(ModuleOp module)
      : module(module), symbols(module), context(module.getContext()) {}

  /// Returns how many were formed.
  int64_t run() {
    // Extensions first: with the restriction below them they are one gather.
    module.walk([&](ExtendOp op) {
      if (op.getAxis() != 1 || op.getKeep().hasDynamicCount())
        return;
      auto restrict = op.getInput().getDefiningOp<RestrictOp>();
      if (restrict &&
          (restrict.getAxis() != 1 || restrict.getKeep().hasDynamicCount() ||
           !isComputed(restrict.getInput())))
        restrict = {};
      if (restrict)
        form(op, restrict.getInput(), restrict.getKeep(), op.getKeep());
      else if (isComputed(op.getInput()))
        form(op, op.getInput(),
             SetAttr::all(context, op.getKeep().getKeptExtent()), op.getKeep());
      if (restrict &&restrict->use_empty())
        restrict.erase();
    });
    module.walk([&](RestrictOp op) {
      if (op.getAxis() == 1 && !op.getKeep().hasDynamicCount() &&
          isComputed(op.getInput()) && !op.getKeep().isEmpty())
        form(op, op.getInput(), op.getKeep(),
             SetAttr::all(context, op.getKeep().getKeptExtent()));
    });
    return formed;
  }

private:
  /// Replaces `op` by a gather of the `taken` columns of `input`, which go to
  /// the columns `put` of the result.
  void form(Operation *op, Value input, SetAttr taken, SetAttr put) {
    SmallVector<int32_t> columns(put.getExtent(), -1);
    for (auto [from, to] :
         llvm::zip_equal(taken.getIndices(), put.getIndices()))
      columns[to] = static_cast<int32_t>(from);

    OpBuilder builder(op);
    std::string site;
    if (Operation *sum = findSum(op->getResult(0))) {
      site = ("residual." + getSite(sum)).str();
      builder.setInsertionPointAfterValue(input);
    }
    Value table = loadTable(builder, op, columns, site);
    auto gather = GatherOp::create(
        builder, op->getLoc(), op->getResult(0).getType(), site, input, table);
    op->replaceAllUsesWith(gather);
    op->erase();
    ++formed;
  }

  /// Equal tables are one global, named after its first reader.
  Value loadTable(OpBuilder &builder, Operation *op, ArrayRef<int32_t> columns,
                  StringRef site) {
    auto type =
        RankedTensorType::get(columns.size(), IntegerType::get(context, 32));
    auto values = DenseElementsAttr::get(type, columns);
    ml_program::GlobalOp &global = tables[values];
    if (!global) {
      OpBuilder top(context);
      global = ml_program::GlobalOp::create(
          top, op->getLoc(),
          ((site.empty() ? "gather" : site) + ".columns").str(), type,
          /*is_mutable=*/false, values, top.getStringAttr("private"));
      symbols.insert(global, module.getBody()->begin());
    }
    return ml_program::GlobalLoadConstOp::create(
        builder, op->getLoc(), type,
        FlatSymbolRefAttr::get(global.getSymNameAttr()));
  }

  ModuleOp module;
  SymbolTable symbols;
  MLIRContext *context;
  DenseMap<Attribute, ml_program::GlobalOp> tables;
  int64_t formed = 0;
};

struct PruneFormGathers
    : coppice::impl::PruneFormGathersBase<PruneFormGathers> {
  void runOnOperation() override {
    formed += GatherFormer(getOperation()).run();
  }
};
} // namespace
