//===- DispatchGroups.cpp - names of dispatches, groups
//----------------------===//
// In: the ops of @forward. Out: the site, the value and the sublayer of each;
// and, once all dispatches are there, which sublayers can be switched off.
//===----------------------------------------------------------------------===//
#include "DispatchFormer.h"
#include "coppice/Analysis/Sites.h"

using namespace mlir;
using namespace coppice;

static StringAttr getGroupOfSite(MLIRContext *context, StringRef site) {
  std::optional<LayerSite> layer = parseLayerSite(site);
  if (!layer || layer->sublayer == layer->layerName)
    return nullptr;
  return StringAttr::get(context, layer->sublayer);
}

/// Ops without a name (they come from lowerings) belong to the next op that has
/// one.
void DispatchFormer::nameItems() {
  MLIRContext *context = module.getContext();
  for (Operation &op : forward.getBody().front())
    if (!isa<func::ReturnOp>(op) && !isCloned(&op) && !isWeightLoad(&op))
      items.push_back({&op, getSite(&op).str(), nullptr, nullptr});

  std::string next;
  for (DispatchItem &item : llvm::reverse(items)) {
    if (!item.site.empty())
      next = item.site;
    else
      item.site = (next.empty() ? "" : next + ".") +
                  item.op->getName().stripDialect().str();
    item.group = getGroupOfSite(context, item.site);
    groupOf[item.op] = item.group;
  }

  llvm::StringMap<DispatchItem *> lastOfName;
  for (DispatchItem &item : items)
    if (StringRef name = getValueName(item.op); !name.empty())
      lastOfName[name] = &item;
  for (auto &entry : lastOfName)
    entry.second->value = StringAttr::get(context, entry.first());
}

/// A sublayer that does not end in an update of the residual, is interleaved
/// with others, or makes something else that others read, is no group: without
/// it, the rest would not be the program less this sublayer.
void DispatchFormer::dropOpenGroups() {
  llvm::DenseSet<StringAttr> open, finished;
  DenseMap<Value, StringAttr> writtenBy;
  for (auto dispatch : program.getOps<exec::DispatchOp>())
    if (StringAttr group = dispatch.getGroupAttr())
      for (auto [index, argument] : llvm::enumerate(dispatch.getWrites()))
        if (index > 0 || lastOfGroup.lookup(group) != dispatch)
          writtenBy[dispatch.getArgs()[argument]] = group;
  for (Operation &op : program.getBody().front()) {
    // Nothing that the step computes depends on what a caller reads.
    if (isa<exec::RouteOp>(op))
      continue;
    auto dispatch = dyn_cast<exec::DispatchOp>(op);
    for (Value operand : op.getOperands())
      if (StringAttr group = writtenBy.lookup(operand);
          group && (!dispatch || dispatch.getGroupAttr() != group))
        open.insert(group);
  }
  StringAttr current;
  for (auto dispatch : program.getOps<exec::DispatchOp>()) {
    StringAttr group = dispatch.getGroupAttr();
    if (group != current && current)
      finished.insert(current);
    if (group && (finished.contains(group) || !closedGroups.contains(group) ||
                  lastOfGroup.lookup(group).getValueAttr() != group))
      open.insert(group);
    current = group;
  }
  for (auto dispatch : program.getOps<exec::DispatchOp>())
    if (open.contains(dispatch.getGroupAttr()))
      dispatch.removeGroupAttr();
}
