//===- ExecFormDispatches.cpp - @forward to dispatches of kernels ---------===//
// In: @forward, one step of a model on tensors, propagated and fused (or, for
// the oracle, lowered to linalg). Out: an exec.program and a module of kernels.
//
// Each tensor op becomes a kernel of its own with a destination for each
// result; everything that makes no memory (tensor.empty, fills of it,
// constants, index arithmetic, reshapes) is cloned into the kernels that need
// it. A tensor of @forward has a *home*: the weight, step field, state or
// buffer that holds it. Updates in place give two tensors, the old and the new,
// one home, which is sound as long as nobody asks for the old one later: that
// is checked for every such update, and answered by a copy, or by an error for
// a cache.
//===----------------------------------------------------------------------===//
#include "DispatchFormer.h"
#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

namespace coppice {
#define GEN_PASS_DEF_EXECFORMDISPATCHES
#include "coppice/Schedule/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;

/// Columns that a group of a decision is about, as its users say; 0: all.
static int64_t getGroupColumns(prune::DecideOp decision) {
  for (Operation *user : decision.getMask().getUsers()) {
    if (auto project = dyn_cast<prune::ProjectByOp>(user))
      return static_cast<int64_t>(project.getGroupSize().value_or(0));
    for (Operation *reader : user->getUsers())
      if (auto gemm = dyn_cast<prune::GemmOp>(reader);
          gemm && gemm.hasRowsPerGroup())
        return static_cast<int64_t>(*gemm.getGroupSize());
  }
  return 0;
}

LogicalResult DispatchFormer::run() {
  if (failed(findForward()) || failed(createProgram()) ||
      failed(declareArguments()))
    return failure();
  nameItems();
  auto decisions = llvm::to_vector(forward.getOps<prune::DecideOp>());
  auto columns = llvm::map_to_vector(decisions, getGroupColumns);
  for (const DispatchItem &item : items)
    if (failed(form(item)))
      return failure();
  if (failed(formOutputs()))
    return failure();
  for (auto [decision, size] : llvm::zip_equal(decisions, columns))
    exec::RouteOp::create(
        builder, decision.getLoc(), decision.getSiteAttr(),
        getHome(decision.getMask()), decision.getColumnAttr(),
        decision.getExpectedAttr(),
        builder.getStringAttr(
            getValueName(decision.getScores().getDefiningOp())),
        size ? builder.getI64IntegerAttr(size) : IntegerAttr(),
        decision.getMarginAttr(), decision.getTopAttr());
  dropOpenGroups();
  forward.erase();
  return success();
}

//===----------------------------------------------------------------------===//
// Program and arguments
//===----------------------------------------------------------------------===//

LogicalResult DispatchFormer::findForward() {
  forward = module.lookupSymbol<func::FuncOp>("forward");
  if (!forward)
    return module.emitError("expected a function named @forward, found none");
  if (!llvm::hasSingleElement(forward.getBody()))
    return forward.emitError("expected @forward to have one block, found ")
           << forward.getBody().getBlocks().size();
  if (module.lookupSymbol(exec::kernelsModuleName))
    return module.emitError("expected no symbol named @")
           << exec::kernelsModuleName << " yet";

  for (Operation &op :
       llvm::make_early_inc_range(llvm::reverse(forward.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
  for (auto [index, op] : llvm::enumerate(forward.getBody().front()))
    order[&op] = index;
  return success();
}

LogicalResult DispatchFormer::createProgram() {
  MLIRContext *context = module.getContext();
  int64_t maxContext = options.maxContext;
  if (auto model =
          module->getAttrOfType<decoder::ModelAttr>(decoder::kModelAttrName);
      model && maxContext == 0)
    maxContext = model.getContextLength();
  if (maxContext == 0)
    return module.emitError(
        "expected a #decoder.model on the module or the option max-context: "
        "the number of tokens that a sequence may have is not known");
  auto limits = exec::LimitsAttr::getChecked([&] { return module.emitError(); },
                                             context, options.maxRows,
                                             options.maxBatch, maxContext);
  if (!limits)
    return failure();

  builder.setInsertionPoint(forward);
  program = exec::ProgramOp::create(
      builder, forward.getLoc(), builder.getStringAttr("forward"),
      builder.getStrArrayAttr(exec::getSymbolNames()), limits, AffineMapAttr(),
      options.oracle ? builder.getUnitAttr() : UnitAttr());
  // The function is erased at the end; until then two symbols have this name.
  program.getBody().emplaceBlock();
  kernels =
      ModuleOp::create(builder, forward.getLoc(), exec::kernelsModuleName);
  builder.setInsertionPointToStart(&program.getBody().front());
  return success();
}

LogicalResult DispatchFormer::declareArguments() {
  for (BlockArgument argument : forward.getArguments()) {
    unsigned index = argument.getArgNumber();
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    auto step =
        forward.getArgAttrOfType<StringAttr>(index, decoder::kStepAttrName);
    auto cache =
        forward.getArgAttrOfType<StringAttr>(index, decoder::kCacheAttrName);
    if (!type || (!step && !cache))
      return forward.emitError("expected argument ")
             << index
             << " of @forward to be a tensor with decoder.step or "
                "decoder.cache, found "
             << argument.getType();
    SmallVector<Attribute> shape;
    for (auto [axis, size] : llvm::enumerate(type.getShape())) {
      StringRef symbol = step ? (step == "head_rows" ? "head_rows" : "rows")
                         : axis == 0 ? "slots"
                                     : "context";
      if (!ShapedType::isDynamic(size))
        shape.push_back(builder.getI64IntegerAttr(size));
      else if (axis < (step ? 1u : 2u))
        shape.push_back(builder.getStringAttr(symbol));
      else
        return forward.emitError("expected axis ")
               << axis << " of argument " << index << " to be static, found "
               << type;
    }
    extents[argument] = builder.getArrayAttr(shape);
    if (cache &&
        llvm::all_of(argument.getUsers(), llvm::IsaPred<func::ReturnOp>))
      continue; // of a layer that is gone
    if (exec::getElementBytes(type.getElementType()) == 0)
      return forward.emitError("argument ")
             << index << " is " << type
             << ", expected elements of f32, f16, bf16 or i32";
    auto memref = MemRefType::get(type.getShape(), type.getElementType());
    Operation *declaration;
    if (step)
      declaration = exec::StepOp::create(builder, argument.getLoc(), memref,
                                         step, extents[argument]);
    else
      declaration = exec::StateOp::create(builder, argument.getLoc(), memref,
                                          cache, extents[argument]);
    homes[argument] = declaration->getResult(0);
    lastDeclaration = declaration;
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

LogicalResult DispatchFormer::formOutputs() {
  auto ret = cast<func::ReturnOp>(forward.getBody().front().getTerminator());
  SmallVector<Value> caches;
  for (BlockArgument argument : forward.getArguments())
    if (forward.getArgAttr(argument.getArgNumber(), decoder::kCacheAttrName))
      caches.push_back(argument);
  size_t nextCache = 0;
  int64_t outputs = 0;
  for (auto [index, value] : llvm::enumerate(ret.getOperands())) {
    Value home = getHome(value);
    bool isCache = llvm::is_contained(caches, value) ||
                   (home && home.getDefiningOp<exec::StateOp>());
    if (isCache) {
      if (nextCache >= caches.size() || getHome(caches[nextCache]) != home)
        return ret.emitError("expected result ")
               << index
               << " to be the cache that is the next argument of @forward";
      ++nextCache;
      continue;
    }
    if (!home || !home.getDefiningOp<exec::BufferOp>())
      return ret.emitError("expected result ")
             << index
             << " to be computed by an op of @forward or to be a cache";
    exec::OutputOp::create(
        builder, ret.getLoc(),
        outputs ? "output" + std::to_string(outputs) : "logits", home);
    ++outputs;
  }
  if (outputs == 0)
    return ret.emitError(
        "expected @forward to return logits, found only caches");
  return success();
}

namespace {
struct ExecFormDispatches
    : coppice::impl::ExecFormDispatchesBase<ExecFormDispatches> {
  using Base::Base;
  void runOnOperation() override {
    ExecFormDispatchesOptions options{oracle, maxRows, maxBatch, maxContext};
    DispatchFormer former(getOperation(), options);
    if (failed(former.run()))
      return signalPassFailure();
    dispatches += former.numDispatches;
    this->kernels += former.numKernels;
  }
};
} // namespace
