// The prune dialect and the rules of its discardable attribute prune.kept.
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace coppice::prune;

#include "coppice/Dialect/Prune/IR/PruneDialect.cpp.inc"

namespace {
/// Long sets are printed once, at the top of the file.
struct SetAliases : OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;
  AliasResult getAlias(Attribute attr, raw_ostream &os) const override {
    auto set = dyn_cast<SetAttr>(attr);
    if (!set || set.getRanges().size() <= 8)
      return AliasResult::NoAlias;
    os << "kept_" << set.getKeptExtent() << "_of_" << set.getExtent() << "_";
    return AliasResult::FinalAlias;
  }
};
} // namespace

void PruneDialect::initialize() {
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "coppice/Dialect/Prune/IR/PruneOps.cpp.inc"
      >();
  addInterfaces<SetAliases>();
}

Operation *PruneDialect::materializeConstant(OpBuilder &builder,
                                             Attribute value, Type type,
                                             Location loc) {
  return arith::ConstantOp::materialize(builder, value, type, loc);
}

/// `[[axis, #prune.set<..>], ..]`, axes ascending; `type` is the narrowed
/// value's, if known.
static LogicalResult verifyKept(Operation *op, Attribute kept, Type type) {
  auto describe = [&]() -> InFlightDiagnostic {
    return op->emitError() << "'" << PruneDialect::keptAttrName << "' ";
  };
  auto list = dyn_cast<ArrayAttr>(kept);
  if (!list)
    return describe() << "expected a list of [axis, set], found " << kept;
  int64_t previous = -1;
  for (Attribute entry : list) {
    auto pair = dyn_cast<ArrayAttr>(entry);
    if (!pair || pair.size() != 2 || !isa<IntegerAttr>(pair[0]) ||
        !isa<SetAttr>(pair[1]))
      return describe() << "expected pairs [axis, set], found " << entry;
    int64_t axis = cast<IntegerAttr>(pair[0]).getInt();
    auto set = cast<SetAttr>(pair[1]);
    if (axis <= previous)
      return describe() << "expected ascending axes, found " << axis
                        << " after " << previous;
    previous = axis;
    auto shaped = dyn_cast_or_null<ShapedType>(type);
    if (!shaped || !shaped.hasRank())
      continue;
    if (axis >= shaped.getRank())
      return describe() << "expected an axis below the rank "
                        << shaped.getRank() << ", found " << axis;
    if (!shaped.isDynamicDim(axis) &&
        shaped.getDimSize(axis) != set.getKeptExtent())
      return describe() << "expected a set of " << shaped.getDimSize(axis)
                        << " indices for axis " << axis << ", found one of "
                        << set.getKeptExtent();
  }
  return success();
}

LogicalResult PruneDialect::verifyOperationAttribute(Operation *op,
                                                     NamedAttribute attribute) {
  if (attribute.getName() == siteAttrName) {
    if (!isa<StringAttr>(attribute.getValue()))
      return op->emitError()
             << "'" << siteAttrName << "' expected a string, found "
             << attribute.getValue();
    if (op->getInherentAttr("site"))
      return op->emitError() << "'" << siteAttrName
                             << "' expected on ops without a site of their own";
    return success();
  }
  if (attribute.getName() == keptAttrName) {
    Type type = op->getNumResults() == 1 ? op->getResult(0).getType() : Type();
    if (auto typed = op->getAttrOfType<TypeAttr>("type"))
      type = typed.getValue(); // a global
    return verifyKept(op, attribute.getValue(), type);
  }
  if (attribute.getName() == thresholdAttrName) {
    auto threshold = dyn_cast<FloatAttr>(attribute.getValue());
    if (!threshold || threshold.getValue().isNegative() ||
        !threshold.getValue().isFinite())
      return op->emitError()
             << "'" << thresholdAttrName
             << "' expected a float that is finite and not negative, found "
             << attribute.getValue();
    return success();
  }
  if (attribute.getName() == patternAttrName) {
    if (!isa<NMAttr>(attribute.getValue()))
      return op->emitError()
             << "'" << patternAttrName << "' expected '#prune.nm', found "
             << attribute.getValue();
    auto typed = op->getAttrOfType<TypeAttr>("type"); // a global
    auto type = typed ? dyn_cast<RankedTensorType>(typed.getValue())
                      : RankedTensorType();
    if (!type || type.getRank() != 2 || !type.hasStaticShape())
      return op->emitError() << "'" << patternAttrName
                             << "' expected on a global of two static axes";
    return success();
  }
  if (attribute.getName() == fallbackAttrName) {
    if (!isa<GemmOp, ProjectByOp>(op) || !isa<UnitAttr>(attribute.getValue()))
      return op->emitError()
             << "'" << fallbackAttrName
             << "' expected as a unit on a GEMM or a projection by a mask";
    return success();
  }
  if (attribute.getName() == fallbacksAttrName) {
    auto list = dyn_cast<ArrayAttr>(attribute.getValue());
    if (!isa<ModuleOp>(op) || !list ||
        !llvm::all_of(list, llvm::IsaPred<DictionaryAttr>))
      return op->emitError() << "'" << fallbacksAttrName
                             << "' expected as dictionaries on a module";
    return success();
  }
  return op->emitError() << "unknown attribute '"
                         << attribute.getName().getValue() << "', expected '"
                         << siteAttrName << "', '" << keptAttrName << "', '"
                         << patternAttrName << "', '" << thresholdAttrName
                         << "', '" << fallbackAttrName << "' or '"
                         << fallbacksAttrName << "'";
}

LogicalResult PruneDialect::verifyRegionArgAttribute(Operation *op,
                                                     unsigned region,
                                                     unsigned argument,
                                                     NamedAttribute attribute) {
  if (attribute.getName() != keptAttrName)
    return op->emitError() << "unknown argument attribute '"
                           << attribute.getName().getValue() << "', expected '"
                           << keptAttrName << "'";
  Type type;
  if (region < op->getNumRegions() && !op->getRegion(region).empty() &&
      argument < op->getRegion(region).getNumArguments())
    type = op->getRegion(region).getArgument(argument).getType();
  return verifyKept(op, attribute.getValue(), type);
}

LogicalResult
PruneDialect::verifyRegionResultAttribute(Operation *op, unsigned, unsigned,
                                          NamedAttribute attribute) {
  if (attribute.getName() != keptAttrName)
    return op->emitError() << "unknown result attribute '"
                           << attribute.getName().getValue() << "', expected '"
                           << keptAttrName << "'";
  return verifyKept(op, attribute.getValue(), Type());
}
