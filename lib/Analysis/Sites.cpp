#include "coppice/Analysis/Sites.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

static constexpr llvm::StringLiteral kInherentSite = "site";

StringRef coppice::getSite(Operation *op) {
  if (std::optional<Attribute> inherent = op->getInherentAttr(kInherentSite))
    if (auto site = dyn_cast_or_null<StringAttr>(*inherent))
      return site.getValue();
  auto site = op->getAttrOfType<StringAttr>(PruneDialect::siteAttrName);
  return site ? site.getValue() : StringRef();
}

void coppice::setSite(Operation *op, StringRef site) {
  auto attr = StringAttr::get(op->getContext(), site);
  if (op->getInherentAttr(kInherentSite))
    op->setInherentAttr(StringAttr::get(op->getContext(), kInherentSite), attr);
  else
    op->setDiscardableAttr(PruneDialect::siteAttrName, attr);
}

StringRef coppice::getValueName(Operation *op) {
  if (auto gemm = dyn_cast<GemmOp>(op))
    return gemm.getValueName();
  // Columns of a value that has its name already; a list of rows is no value.
  if (isa<GatherOp, CompactOp>(op))
    return {};
  return getSite(op);
}

std::optional<LayerSite> coppice::parseLayerSite(StringRef site) {
  static constexpr llvm::StringLiteral prefix = "layers.";
  if (!site.starts_with(prefix))
    return std::nullopt;
  StringRef tail = site.drop_front(prefix.size());
  LayerSite parsed;
  if (tail.consumeInteger(10, parsed.layer) ||
      (!tail.empty() && tail.front() != '.'))
    return std::nullopt;
  parsed.layerName = site.drop_back(tail.size());
  tail.consume_front(".");
  auto [sublayer, rest] = tail.split('.');
  parsed.sublayer = sublayer.empty()
                        ? parsed.layerName
                        : site.take_front(sublayer.end() - site.begin());
  parsed.rest = rest;
  return parsed;
}

SmallVector<KeptAxis> coppice::parseKept(Attribute kept) {
  SmallVector<KeptAxis> axes;
  for (Attribute entry :
       kept ? cast<ArrayAttr>(kept).getValue() : ArrayRef<Attribute>()) {
    auto pair = cast<ArrayAttr>(entry);
    axes.push_back(
        {cast<IntegerAttr>(pair[0]).getInt(), cast<SetAttr>(pair[1])});
  }
  return axes;
}

ArrayAttr coppice::makeKept(MLIRContext *context, ArrayRef<KeptAxis> kept) {
  SmallVector<Attribute> entries;
  auto i64 = IntegerType::get(context, 64);
  for (const KeptAxis &axis : kept)
    entries.push_back(
        ArrayAttr::get(context, {IntegerAttr::get(i64, axis.axis), axis.set}));
  return ArrayAttr::get(context, entries);
}

SmallVector<KeptAxis> coppice::getKept(Operation *op) {
  return parseKept(op->getDiscardableAttr(PruneDialect::keptAttrName));
}

ArrayAttr coppice::composeKept(MLIRContext *context, Attribute kept,
                               int64_t axis, SetAttr set) {
  SmallVector<KeptAxis> axes = parseKept(kept);
  auto *at = llvm::find_if(
      axes, [&](const KeptAxis &entry) { return entry.axis >= axis; });
  if (at != axes.end() && at->axis == axis)
    at->set = at->set.compose(set);
  else
    axes.insert(at, {axis, set});
  return makeKept(context, axes);
}

void coppice::narrowKept(Operation *op, int64_t axis, SetAttr set) {
  Attribute kept = op->getDiscardableAttr(PruneDialect::keptAttrName);
  op->setDiscardableAttr(PruneDialect::keptAttrName,
                         composeKept(op->getContext(), kept, axis, set));
}
