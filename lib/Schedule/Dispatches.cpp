//===- Dispatches.cpp - an op of @forward to a dispatch
//----------------------===//
// In: an op of @forward whose operands have homes. Out: its kernel, a dispatch
// of it with the cost, and homes for its results.
//===----------------------------------------------------------------------===//
#include "DispatchCosts.h"
#include "DispatchFormer.h"
#include "coppice/Analysis/Sites.h"
#include "coppice/Codegen/CPU/PatternLayout.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace coppice;

exec::DispatchOp
DispatchFormer::createDispatch(Location loc, StringRef site, exec::Kind kind,
                               ArrayRef<Value> args, size_t writes,
                               SymbolRefAttr kernel, exec::CostAttr cost) {
  MLIRContext *context = module.getContext();
  ++numDispatches;
  auto variant = exec::VariantAttr::get(context, kernel);
  auto written =
      llvm::to_vector(llvm::seq<int64_t>(args.size() - writes, args.size()));
  return exec::DispatchOp::create(
      builder, loc, builder.getStringAttr(site),
      exec::KindAttr::get(context, kind), StringAttr(), StringAttr(),
      ArrayAttr(), StringAttr(), UnitAttr(), UnitAttr(), FloatAttr(),
      FloatAttr(), args, builder.getDenseI64ArrayAttr(written),
      builder.getArrayAttr({variant}), cost, exec::GemmAttr());
}

/// `prune.kept` with granules expanded: [[axis, [[begin, end], ...]], ...].
static ArrayAttr getKeptRanges(Operation *op) {
  Builder builder(op->getContext());
  SmallVector<Attribute> list;
  for (const KeptAxis &kept : getKept(op)) {
    SmallVector<Attribute> ranges;
    int64_t granule = kept.set.getGranule();
    for (prune::IndexRange range : kept.set.getRanges())
      ranges.push_back(builder.getI64ArrayAttr(
          {range.begin * granule, range.end * granule}));
    list.push_back(builder.getArrayAttr(
        {builder.getI64IntegerAttr(kept.axis), builder.getArrayAttr(ranges)}));
  }
  return list.empty() ? ArrayAttr() : builder.getArrayAttr(list);
}

/// The lists of the rows that `op` computes; null if it computes all.
static prune::CompactOp findRows(Operation *op) {
  Value list =
      llvm::TypeSwitch<Operation *, Value>(op)
          .Case([](prune::GemmOp gemm) { return gemm.getRows(); })
          .Case<decoder::RMSNormOp, decoder::RotaryOp, decoder::AttentionOp>(
              [](auto typed) { return typed.getRowList(); })
          .Default(nullptr);
  return list ? list.getDefiningOp<prune::CompactOp>() : nullptr;
}

LogicalResult DispatchFormer::form(const DispatchItem &item) {
  Operation *op = item.op;
  prune::CompactOp rows = findRows(op);
  auto route = rows ? rows.getMask().getDefiningOp<prune::DecideOp>() : nullptr;
  if (auto gemm = dyn_cast<prune::GemmOp>(op);
      gemm &&
      (gemm.getPanels() || gemm.getGroups() || (gemm.getRows() && !route)))
    return op->emitError("expected a GEMM without sets but of rows that a "
                         "route keeps: the cost of a dispatch cannot follow "
                         "another run-time count");
  if (op->getNumResults() == 0 || !isMemoryEffectFree(op))
    return op->emitError("expected only ops on tensors in @forward, found ")
           << op->getName();

  // Destinations are no inputs; what they are filled with is.
  DispatchSignature signature;
  llvm::SmallPtrSet<Operation *, 8> seen;
  SetVector<Value> used;
  llvm::SmallPtrSet<OpOperand *, 4> inits;
  for (OpResult result : op->getResults()) {
    OpOperand *init = getTiedInit(result);
    if (!init)
      continue;
    inits.insert(init);
    Operation *producer = init->get().getDefiningOp();
    if (auto fill = dyn_cast_or_null<linalg::FillOp>(producer);
        fill && isCloned(fill))
      used.insert(fill.getInputs()[0]);
    else if (producer && isCloned(producer) && !isa<tensor::EmptyOp>(producer))
      used.insert(init->get());
  }
  for (OpOperand &operand : op->getOpOperands())
    if (!inits.contains(&operand))
      used.insert(operand.get());
  getUsedValuesDefinedAbove(op->getRegions(), used);
  for (Value value : used)
    collect(value, signature, seen);
  if (failed(chooseDestinations(item, signature)))
    return failure();
  if (signature.throughDestination)
    signature.inputs.remove(signature.throughDestination);

  SmallVector<Value> args;
  SmallVector<CostArgument> costs;
  for (Value input : signature.inputs) {
    FailureOr<Value> home = getOrDeclareHome(input, op);
    if (failed(home))
      return failure();
    if (!getExtents(input))
      return op->emitError("the extents of an operand of type ")
             << input.getType() << " are no symbols of the step";
    args.push_back(*home);
    costs.push_back({input, getExtents(input),
                     cast<ShapedType>(input.getType()).getElementType(),
                     home->getDefiningOp<exec::WeightOp>() != nullptr, true,
                     false});
  }
  for (auto [result, home] :
       llvm::zip_equal(op->getResults(), signature.destinations)) {
    args.push_back(home);
    // An append does not read what it replaces.
    bool isRead =
        (signature.throughDestination && result.getResultNumber() == 0) ||
        (!isa<decoder::AppendOp>(op) && getInit(result) &&
         getHome(getInit(result)));
    costs.push_back({Value(), getExtents(result),
                     cast<ShapedType>(result.getType()).getElementType(), false,
                     isRead, true});
  }

  exec::Kind kind = getDispatchKind(op);
  FailureOr<func::FuncOp> kernel = buildKernel(item, signature);
  if (failed(kernel))
    return failure();
  exec::CostAttr cost = getDispatchCost(
      op, costs, [&](Value tensor) { return getExtents(tensor); });
  exec::DispatchOp dispatch = createDispatch(
      op->getLoc(), item.site, kind, args, signature.destinations.size(),
      internKernel(*kernel, op, kind), cost);
  if (item.group) {
    dispatch.setGroupAttr(item.group);
    firstOfGroup.try_emplace(item.group, dispatch);
    lastOfGroup[item.group] = dispatch;
  }
  if (route) {
    dispatch.setRouteAttr(route.getSiteAttr());
    dispatch.setPassed(rows.getPassed());
    // What is left out is what was there before, or nothing.
    auto gemm = dyn_cast<prune::GemmOp>(op);
    dispatch.setPartial(
        !gemm ||
        (gemm.getInto() && gemm.getInto().getDefiningOp<tensor::EmptyOp>()));
  }
  if (item.value &&
      signature.destinations.front().getDefiningOp<exec::BufferOp>()) {
    dispatch.setValueAttr(item.value);
    if (ArrayAttr kept = getKeptRanges(op))
      dispatch.setKeptAttr(kept);
  }
  if (auto threshold =
          op->getAttrOfType<FloatAttr>(prune::PruneDialect::thresholdAttrName))
    dispatch.setThresholdAttr(
        builder.getF64FloatAttr(threshold.getValueAsDouble()));
  if (auto gemm = dyn_cast<prune::GemmOp>(op)) {
    if (double zeros = cpu::getZerosToFind(gemm))
      dispatch.setZerosAttr(builder.getF64FloatAttr(zeros));
    dispatch.setGemmAttr(exec::GemmAttr::get(
        module.getContext(),
        exec::getExprAttr(exec::getExtentExpr(getExtents(gemm.getInput())[0])),
        gemm.getWeight().getType().getDimSize(0),
        gemm.getWeight().getType().getDimSize(1)));
  }
  for (auto [result, home] :
       llvm::zip_equal(op->getResults(), signature.destinations))
    homes[result] = home;
  return success();
}
