// Comes in: restrictions of weights. Goes out: loads of narrower globals. The
// module is walked in program order, so that a restriction of a restriction
// finds a load below it and composes with what that load already holds.
#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace coppice::prune {
#define GEN_PASS_DEF_PRUNEFOLDRESTRICTS
#include "coppice/Dialect/Prune/Transforms/Passes.h.inc"
} // namespace coppice::prune

using namespace coppice;
using namespace coppice::prune;

/// The restriction of a constant; null if its elements cannot be listed.
static DenseElementsAttr restrictConstant(DenseElementsAttr dense, int64_t axis,
                                          SetAttr set, RankedTensorType type) {
  if (dense.isSplat())
    return dense.resizeSplat(type);
  ArrayRef<int64_t> shape = dense.getType().getShape();
  int64_t inner = llvm::product_of(shape.drop_front(axis + 1)),
          outer = llvm::product_of(shape.take_front(axis));
  SmallVector<Attribute> all(dense.getValues<Attribute>()), kept;
  SmallVector<int64_t> indices = set.getIndices();
  kept.reserve(type.getNumElements());
  for (int64_t i = 0; i < outer; ++i)
    for (int64_t index : indices) {
      auto begin = all.begin() + (i * shape[axis] + index) * inner;
      kept.append(begin, begin + inner);
    }
  return DenseElementsAttr::get(type, kept);
}

namespace {
struct PruneFoldRestrictsPass
    : coppice::prune::impl::PruneFoldRestrictsBase<PruneFoldRestrictsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    Narrower narrower(symbols);
    SmallVector<RestrictOp> restricts;
    module.walk([&](RestrictOp op) { restricts.push_back(op); });
    for (RestrictOp op : restricts)
      numFolded +=
          succeeded(foldConstant(op)) || succeeded(narrower.fold(op)) ? 1 : 0;
    eraseUnused(module, symbols, narrower);
  }

private:
  /// Makes narrow globals, one for each (global, axis, set).
  class Narrower {
  public:
    explicit Narrower(SymbolTable &symbols) : symbols(symbols) {}

    LogicalResult fold(RestrictOp op) {
      auto load = op.getInput().getDefiningOp<ml_program::GlobalLoadConstOp>();
      if (!load || !load.getGlobal().getNestedReferences().empty())
        return failure();
      auto global = symbols.lookup<ml_program::GlobalOp>(
          load.getGlobal().getRootReference());
      if (!global || global.getIsMutable())
        return failure();
      ml_program::GlobalOp narrow = getNarrow(global, op);
      if (!narrow)
        return failure();
      OpBuilder builder(op);
      auto replacement = ml_program::GlobalLoadConstOp::create(
          builder, op.getLoc(), op.getType(),
          FlatSymbolRefAttr::get(narrow.getSymNameAttr()));
      loads[narrow].push_back(replacement);
      op.replaceAllUsesWith(replacement.getResult());
      op.erase();
      if (load->use_empty()) {
        auto &others = loads[global];
        llvm::erase(others, load);
        load.erase();
      }
      return success();
    }

    /// The global that `narrow` was made from in the end, null if none.
    ml_program::GlobalOp getOrigin(ml_program::GlobalOp narrow) const {
      return origins.lookup(narrow);
    }
    ArrayRef<ml_program::GlobalLoadConstOp>
    getLoads(ml_program::GlobalOp narrow) {
      return loads[narrow];
    }

  private:
    ml_program::GlobalOp getNarrow(ml_program::GlobalOp global, RestrictOp op) {
      ml_program::GlobalOp &narrow =
          made[{global.getOperation(), {op.getAxis(), op.getKeep().refine(1)}}];
      if (narrow)
        return narrow;
      Attribute value = global.getValueAttr();
      auto type = op.getType();
      if (auto dense = dyn_cast_or_null<DenseElementsAttr>(value))
        value = restrictConstant(dense, op.getAxis(), op.getKeep(), type);
      else if (auto external = dyn_cast_or_null<ml_program::ExternAttr>(value))
        value = external.getType() == global.getType()
                    ? ml_program::ExternAttr::get(global.getContext(), type)
                    : external; // typeless
      else
        return {};
      narrow = cast<ml_program::GlobalOp>(global->clone());
      narrow.setType(type);
      narrow.setValueAttr(value);
      narrowKept(narrow, op.getAxis(), op.getKeep());
      symbols.insert(narrow,
                     std::next(global->getIterator())); // makes the name unique
      ml_program::GlobalOp origin = origins.lookup(global);
      origins[narrow] = origin ? origin : global;
      return narrow;
    }

    SymbolTable &symbols;
    llvm::DenseMap<std::pair<Operation *, std::pair<int64_t, SetAttr>>,
                   ml_program::GlobalOp>
        made;
    llvm::DenseMap<Operation *, ml_program::GlobalOp> origins;
    llvm::DenseMap<Operation *, SmallVector<ml_program::GlobalLoadConstOp, 1>>
        loads;
  };

  static LogicalResult foldConstant(RestrictOp op) {
    DenseElementsAttr dense;
    auto type = dyn_cast<RankedTensorType>(op.getType());
    if (!type || !type.hasStaticShape() ||
        !matchPattern(op.getInput(), m_Constant(&dense)))
      return failure();
    OpBuilder builder(op);
    Value narrow = arith::ConstantOp::create(
        builder, op.getLoc(),
        restrictConstant(dense, op.getAxis(), op.getKeep(), type));
    Operation *constant = op.getInput().getDefiningOp();
    op.replaceAllUsesWith(narrow);
    op.erase();
    if (constant->use_empty())
      constant->erase();
    return success();
  }

  /// Erases private globals without uses; then gives the dense names to the
  /// narrow globals where they are free, for the sake of readers.
  void eraseUnused(ModuleOp module, SymbolTable &symbols, Narrower &narrower) {
    llvm::DenseSet<Attribute> used;
    if (auto uses = SymbolTable::getSymbolUses(&module.getBodyRegion()))
      for (SymbolTable::SymbolUse use : *uses)
        used.insert(use.getSymbolRef().getRootReference());
    for (auto global :
         llvm::make_early_inc_range(module.getOps<ml_program::GlobalOp>()))
      if (!global.isPublic() && !used.contains(global.getSymNameAttr())) {
        freed.insert(global);
        ++numRemoved;
      }
    for (auto global : module.getOps<ml_program::GlobalOp>()) {
      ml_program::GlobalOp origin = narrower.getOrigin(global);
      if (freed.contains(global) || !origin || !freed.contains(origin))
        continue;
      StringAttr name = origin.getSymNameAttr();
      freed.erase(origin); // the name is taken now
      symbols.erase(origin);
      symbols.remove(global);
      global.setSymNameAttr(name);
      symbols.insert(global);
      for (ml_program::GlobalLoadConstOp load : narrower.getLoads(global))
        load.setGlobalAttr(FlatSymbolRefAttr::get(name));
    }
    for (Operation *global : freed)
      symbols.erase(global);
    freed.clear();
  }

  llvm::DenseSet<Operation *> freed;
};
} // namespace
