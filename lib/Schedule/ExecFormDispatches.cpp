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
#include "DispatchCosts.h"
#include "coppice/Schedule/Passes.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"

namespace coppice {
#define GEN_PASS_DEF_EXECFORMDISPATCHES
#include "coppice/Schedule/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;

//===----------------------------------------------------------------------===//
// What moves into kernels
//===----------------------------------------------------------------------===//

static bool isReshape(Operation *op) {
  return isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp,
             tensor::ExtractSliceOp, tensor::CastOp>(op);
}

/// Does `op` only say what a kernel needs to know, and hold no data of the
/// step?
static bool isCloned(Operation *op) {
  if (isa<tensor::EmptyOp, tensor::DimOp, arith::ConstantOp>(op) ||
      isReshape(op))
    return true;
  if (auto fill = dyn_cast<linalg::FillOp>(op))
    return fill.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>() != nullptr;
  return op->getNumRegions() == 0 && isMemoryEffectFree(op) &&
         llvm::none_of(op->getResultTypes(), llvm::IsaPred<TensorType>) &&
         llvm::none_of(op->getOperandTypes(), llvm::IsaPred<TensorType>);
}

static bool isWeightLoad(Operation *op) {
  return isa<ml_program::GlobalLoadConstOp, ml_program::GlobalLoadOp>(op);
}

/// The operand that a result starts from: a destination, or a loop's initial
/// value; null if there is none.
static OpOperand *getTiedInit(OpResult result) {
  if (auto destinationOp =
          dyn_cast<DestinationStyleOpInterface>(result.getOwner()))
    return destinationOp.getTiedOpOperand(result);
  if (auto loop = dyn_cast<LoopLikeOpInterface>(result.getOwner()))
    return loop.getTiedLoopInit(result);
  return nullptr;
}

static Value getInit(OpResult result) {
  OpOperand *operand = getTiedInit(result);
  return operand ? operand->get() : Value();
}

/// May the result be written over this operand, element by element?
static bool isPointwise(Operation *op, OpOperand &operand) {
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    return linalgOp.getNumParallelLoops() == linalgOp.getNumLoops() &&
           linalgOp.getNumDpsInits() == 1 &&
           linalgOp.getMatchingIndexingMap(&operand) ==
               linalgOp.getMatchingIndexingMap(linalgOp.getDpsInitOperand(0));
  if (auto gemm = dyn_cast<prune::GemmOp>(op))
    return llvm::is_contained(gemm.getExtras(), operand.get()) &&
           operand.get() != gemm.getInput();
  return false;
}

namespace {

/// An op of @forward on its way to a dispatch.
struct Item {
  Operation *op;
  std::string site;
  StringAttr group; // null: none
  StringAttr value; // null: computes no value that anyone knows by name
};

/// What a kernel takes and gives.
struct Signature {
  SetVector<Value> inputs;         // tensors of @forward
  SmallVector<Operation *> cloned; // what moves in, in order
  SmallVector<Value> destinations; // exec values, one a result
  SmallVector<Type> resultTypes;
  /// An input that is read through destination 0 instead: the residual.
  Value throughDestination;
};

class DispatchFormer {
public:
  DispatchFormer(ModuleOp module, const ExecFormDispatchesOptions &options)
      : module(module), options(options), builder(module.getContext()) {}

  LogicalResult run();
  int64_t numDispatches = 0, numKernels = 0;

private:
  LogicalResult findForward();
  LogicalResult createProgram();
  LogicalResult declareArguments();
  void nameItems();
  LogicalResult form(const Item &item);
  LogicalResult formOutputs();
  void dropOpenGroups();

  // Extents.
  ArrayAttr getExtents(Value tensor);
  Attribute getIndexExtent(Value index);
  FailureOr<ArrayAttr> getResultExtents(Operation *op, OpResult result);

  // Homes.
  Value getHome(Value tensor) { return homes.lookup(tensor); }
  FailureOr<Value> getOrDeclareHome(Value tensor, Operation *user);
  Value createBuffer(ArrayAttr extents, Type element, Location loc);
  bool isUsedAfter(Value tensor, Operation *op);

  // Signatures.
  void collect(Value value, Signature &signature,
               llvm::SmallPtrSetImpl<Operation *> &seen);
  LogicalResult chooseDestinations(const Item &item, Signature &signature);
  FailureOr<Value> chooseInPlace(const Item &item, Value old,
                                 bool otherwiseRead);
  Value findResidual(const Item &item);
  Value copyBefore(const Item &item, Value old);

  // Kernels.
  FailureOr<func::FuncOp> buildKernel(const Item &item, Signature &signature);
  SymbolRefAttr internKernel(func::FuncOp kernel, Operation *op,
                             exec::Kind kind);
  exec::DispatchOp createDispatch(Location loc, StringRef site, exec::Kind kind,
                                  ArrayRef<Value> args, size_t writes,
                                  SymbolRefAttr kernel, exec::CostAttr cost);

  ModuleOp module;
  const ExecFormDispatchesOptions &options;
  OpBuilder builder; // appends to the program
  func::FuncOp forward;
  exec::ProgramOp program;
  ModuleOp kernels;
  Operation *lastDeclaration = nullptr;

  SmallVector<Item> items;
  DenseMap<Operation *, unsigned> order;
  DenseMap<Operation *, StringAttr> groupOf;
  DenseMap<Value, Value> homes;
  DenseMap<Value, ArrayAttr> extents;
  llvm::StringMap<exec::WeightOp> weights;
  llvm::StringMap<SymbolRefAttr> kernelByText;
  llvm::StringMap<int> kernelNames;
  DenseMap<StringAttr, exec::DispatchOp> firstOfGroup;
  DenseMap<StringAttr, exec::DispatchOp> lastOfGroup;
  /// Groups whose last dispatch updates the residual.
  llvm::DenseSet<StringAttr> closedGroups;
};

} // namespace

LogicalResult DispatchFormer::run() {
  if (failed(findForward()) || failed(createProgram()) ||
      failed(declareArguments()))
    return failure();
  nameItems();
  for (const Item &item : items)
    if (failed(form(item)))
      return failure();
  if (failed(formOutputs()))
    return failure();
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
// Names and groups
//===----------------------------------------------------------------------===//

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
  for (Item &item : llvm::reverse(items)) {
    if (!item.site.empty())
      next = item.site;
    else
      item.site = (next.empty() ? "" : next + ".") +
                  item.op->getName().stripDialect().str();
    item.group = getGroupOfSite(context, item.site);
    groupOf[item.op] = item.group;
  }

  llvm::StringMap<Item *> lastOfName;
  for (Item &item : items)
    if (StringRef name = getValueName(item.op); !name.empty())
      lastOfName[name] = &item;
  for (auto &entry : lastOfName)
    entry.second->value = StringAttr::get(context, entry.first());
}

//===----------------------------------------------------------------------===//
// Extents
//===----------------------------------------------------------------------===//

/// The extent that an index of @forward is, null if it is no extent.
Attribute DispatchFormer::getIndexExtent(Value index) {
  if (std::optional<int64_t> constant = getConstantIntValue(index))
    return builder.getI64IntegerAttr(*constant);
  if (auto dim = index.getDefiningOp<tensor::DimOp>())
    if (std::optional<int64_t> axis = dim.getConstantIndex())
      if (ArrayAttr shape = getExtents(dim.getSource());
          shape && *axis < static_cast<int64_t>(shape.size()))
        return shape[*axis];
  return nullptr;
}

/// The extents of a tensor, null if they are no symbols.
ArrayAttr DispatchFormer::getExtents(Value tensor) {
  if (ArrayAttr known = extents.lookup(tensor))
    return known;
  auto type = dyn_cast<RankedTensorType>(tensor.getType());
  Operation *op = tensor.getDefiningOp();
  if (!type || !op)
    return nullptr;
  SmallVector<OpFoldResult> sizes;
  if (type.hasStaticShape())
    return extents[tensor] = builder.getI64ArrayAttr(type.getShape());
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    sizes = empty.getMixedSizes();
  else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    sizes = getMixedValues(expand.getStaticOutputShape(),
                           expand.getOutputShape(), builder);
  else if (auto fill = dyn_cast<linalg::FillOp>(op))
    return extents[tensor] = getExtents(fill.getDpsInits()[0]);
  else if (auto cast = dyn_cast<tensor::CastOp>(op))
    return extents[tensor] = getExtents(cast.getSource());
  else
    return nullptr;
  SmallVector<Attribute> shape;
  for (OpFoldResult size : sizes) {
    Attribute extent =
        isa<Attribute>(size)
            ? builder.getI64IntegerAttr(
                  cast<IntegerAttr>(cast<Attribute>(size)).getInt())
            : getIndexExtent(cast<Value>(size));
    if (!extent)
      return nullptr;
    shape.push_back(extent);
  }
  return extents[tensor] = builder.getArrayAttr(shape);
}

/// Extents of what `op` makes: those of its destination if it has one; else a
/// dynamic axis is that of the first operand which has it too (rows follow
/// rows; a lookup lists its indices first).
FailureOr<ArrayAttr> DispatchFormer::getResultExtents(Operation *op,
                                                      OpResult result) {
  auto type = dyn_cast<RankedTensorType>(result.getType());
  if (!type || exec::getElementBytes(type.getElementType()) == 0)
    return op->emitError(
               "expected to compute tensors of f32, f16, bf16 or i32, found ")
           << result.getType();
  ArrayAttr shape;
  if (Value init = getInit(result)) {
    shape = getExtents(init);
  } else {
    SmallVector<Attribute> list;
    for (auto [axis, size] : llvm::enumerate(type.getShape())) {
      Attribute extent;
      if (!ShapedType::isDynamic(size))
        extent = builder.getI64IntegerAttr(size);
      for (Value operand : op->getOperands()) {
        auto operandType = dyn_cast<RankedTensorType>(operand.getType());
        if (extent || !operandType ||
            operandType.getRank() <= static_cast<int64_t>(axis) ||
            !operandType.isDynamicDim(axis))
          continue;
        if (ArrayAttr operandShape = getExtents(operand))
          extent = operandShape[axis];
      }
      list.push_back(extent);
    }
    if (!llvm::is_contained(list, Attribute()))
      shape = builder.getArrayAttr(list);
  }
  if (!shape)
    return op->emitError("expected dynamic extents that are symbols of the "
                         "step (rows, head_rows, slots or context), "
                         "found others in ")
           << result.getType();
  extents[result] = shape;
  return shape;
}

//===----------------------------------------------------------------------===//
// Homes
//===----------------------------------------------------------------------===//

/// Weights are declared where they are first asked for.
FailureOr<Value> DispatchFormer::getOrDeclareHome(Value tensor,
                                                  Operation *user) {
  if (Value home = getHome(tensor))
    return home;
  Operation *op = tensor.getDefiningOp();
  if (!op || !isWeightLoad(op))
    return user->emitError("expected operands that are weights, arguments of "
                           "@forward or results of other ops, found ")
           << tensor;
  auto name = cast<FlatSymbolRefAttr>(
      isa<ml_program::GlobalLoadOp>(op)
          ? cast<ml_program::GlobalLoadOp>(op).getGlobal()
          : cast<ml_program::GlobalLoadConstOp>(op).getGlobal());
  exec::WeightOp &weight = weights[name.getValue()];
  if (!weight) {
    auto type = cast<RankedTensorType>(tensor.getType());
    if (!type.hasStaticShape() ||
        exec::getElementBytes(type.getElementType()) == 0)
      return op->emitError("expected a weight of static shape and f32, f16, "
                           "bf16 or i32, found ")
             << type;
    OpBuilder::InsertionGuard guard(builder);
    if (lastDeclaration)
      builder.setInsertionPointAfter(lastDeclaration);
    else
      builder.setInsertionPointToStart(&program.getBody().front());
    weight = exec::WeightOp::create(
        builder, op->getLoc(),
        MemRefType::get(type.getShape(), type.getElementType()), name.getAttr(),
        name, exec::PackingAttr::rows(module.getContext()));
    lastDeclaration = weight;
  }
  return homes[tensor] = weight.getResult();
}

Value DispatchFormer::createBuffer(ArrayAttr shape, Type element,
                                   Location loc) {
  auto sizes = llvm::map_to_vector(shape, [](Attribute extent) {
    auto number = dyn_cast<IntegerAttr>(extent);
    return number ? number.getInt() : ShapedType::kDynamic;
  });
  return exec::BufferOp::create(builder, loc, MemRefType::get(sizes, element),
                                shape, AffineMapAttr());
}

/// Does anything after `op` read this very tensor (not what replaces it)?
bool DispatchFormer::isUsedAfter(Value tensor, Operation *op) {
  return llvm::any_of(tensor.getUsers(), [&](Operation *user) {
    Operation *top = forward.getBody().front().findAncestorOpInBlock(*user);
    if (isa<tensor::DimOp>(top))
      return false;
    if (isReshape(top))
      return isUsedAfter(top->getResult(0), op);
    return order.lookup(top) > order.lookup(op);
  });
}

//===----------------------------------------------------------------------===//
// Signatures
//===----------------------------------------------------------------------===//

/// Sorts what `value` depends on into inputs and what is cloned.
void DispatchFormer::collect(Value value, Signature &signature,
                             llvm::SmallPtrSetImpl<Operation *> &seen) {
  Operation *op = value.getDefiningOp();
  if (!op || !isCloned(op)) {
    signature.inputs.insert(value);
    return;
  }
  if (!seen.insert(op).second)
    return;
  // The size of a tensor is known from any argument with that extent.
  if (!(isa<tensor::DimOp>(op) && getIndexExtent(value)))
    for (Value operand : op->getOperands())
      collect(operand, signature, seen);
  signature.cloned.push_back(op);
}

/// The old residual in an update of the residual stream: of the result's type,
/// made outside of the group, and read element by element.
Value DispatchFormer::findResidual(const Item &item) {
  Value residual;
  for (OpOperand &operand : item.op->getOpOperands()) {
    Value value = operand.get();
    Operation *producer = value.getDefiningOp();
    Value home = getHome(value);
    if (!producer || groupOf.lookup(producer) == item.group ||
        value.getType() != item.op->getResult(0).getType() || !home ||
        !home.getDefiningOp<exec::BufferOp>() || !isPointwise(item.op, operand))
      continue;
    // With a second operand of the kind, the later one is what this group
    // started from.
    if (!residual ||
        order.lookup(residual.getDefiningOp()) < order.lookup(producer))
      residual = value;
  }
  if (residual && llvm::count(item.op->getOperands(), residual) != 1)
    return nullptr;
  return residual;
}

/// A new buffer with what `old` holds; made before the group if `old` is older
/// than it, so that the copy also happens where the group is switched off.
Value DispatchFormer::copyBefore(const Item &item, Value old) {
  OpBuilder::InsertionGuard guard(builder);
  if (exec::DispatchOp first = firstOfGroup.lookup(item.group))
    if (!old.getDefiningOp() ||
        groupOf.lookup(old.getDefiningOp()) != item.group)
      builder.setInsertionPoint(first);
  auto type = cast<RankedTensorType>(old.getType());
  Location loc = item.op->getLoc();
  ArrayAttr shape = getExtents(old);
  Value copy = createBuffer(shape, type.getElementType(), loc);

  OpBuilder kernelBuilder(module.getContext());
  auto kernel = func::FuncOp::create(
      loc, "kernel",
      FunctionType::get(module.getContext(), {type, type}, {type}));
  Block *block = kernel.addEntryBlock();
  kernelBuilder.setInsertionPointToStart(block);
  auto body = linalg::CopyOp::create(kernelBuilder, loc, block->getArgument(0),
                                     block->getArgument(1));
  func::ReturnOp::create(kernelBuilder, loc, body->getResults());
  if (!type.hasStaticShape())
    for (unsigned index : {0, 1})
      kernel.setArgAttr(index, exec::dimsAttrName, shape);
  SymbolRefAttr name = internKernel(kernel, body, exec::Kind::Elementwise);

  AffineMapAttr bytes =
      exec::getExprAttr(exec::getElementCount(shape) *
                        exec::getElementBytes(type.getElementType()));
  AffineMapAttr zero =
      exec::getExprAttr(getAffineConstantExpr(0, module.getContext()));
  createDispatch(loc, item.site + ".copy", exec::Kind::Elementwise,
                 {getHome(old), copy}, 1, name,
                 exec::CostAttr::get(module.getContext(), zero, zero, bytes,
                                     bytes, exec::Arithmetic::F32));
  return copy;
}

/// Where a result that starts from `old` goes: `old`'s own home if this is the
/// last that anyone sees of `old`.
FailureOr<Value> DispatchFormer::chooseInPlace(const Item &item, Value old,
                                               bool otherwiseRead) {
  FailureOr<Value> home = getOrDeclareHome(old, item.op);
  if (failed(home))
    return failure();
  bool isLast = !otherwiseRead && !isUsedAfter(old, item.op);
  if (auto state = home->getDefiningOp<exec::StateOp>()) {
    if (isLast)
      return home;
    InFlightDiagnostic error = item.op->emitError("cache '")
                               << state.getName()
                               << "' is updated here and its old value is used "
                                  "too, so that all of it would be copied";
    for (Operation *user : old.getUsers())
      if (user != item.op)
        error.attachNote(user->getLoc()) << "the old value is used here";
    return error;
  }
  if (isLast && home->getDefiningOp<exec::BufferOp>())
    return home;
  return copyBefore(item, old);
}

/// One destination a result, and what of the inputs is read through it.
LogicalResult DispatchFormer::chooseDestinations(const Item &item,
                                                 Signature &signature) {
  Operation *op = item.op;
  for (OpResult result : op->getResults()) {
    FailureOr<ArrayAttr> shape = getResultExtents(op, result);
    if (failed(shape))
      return failure();
    signature.resultTypes.push_back(result.getType());

    Value old;
    if (Value init = getInit(result);
        init && (!init.getDefiningOp() || !isCloned(init.getDefiningOp())))
      old = init;
    FailureOr<Value> destination = Value();
    if (old) {
      destination = chooseInPlace(
          item, old, /*otherwiseRead=*/signature.inputs.contains(old));
    } else if (item.group && item.value == item.group &&
               op->getNumResults() == 1) {
      if (Value residual = findResidual(item)) {
        destination = chooseInPlace(item, residual, /*otherwiseRead=*/false);
        signature.throughDestination = residual;
        closedGroups.insert(item.group);
      }
    }
    if (failed(destination))
      return failure();
    if (!*destination)
      destination = createBuffer(
          *shape, cast<ShapedType>(result.getType()).getElementType(),
          op->getLoc());
    signature.destinations.push_back(*destination);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// What names the op within the model is no part of a kernel.
static void dropNames(Operation *op) {
  op->walk([](Operation *nested) {
    if (nested->getInherentAttr("site").value_or(nullptr))
      nested->setAttr("site", StringAttr::get(nested->getContext(), ""));
    if (auto gemm = dyn_cast<prune::GemmOp>(nested))
      gemm.removeValueAttr();
    nested->removeDiscardableAttr("prune.site");
    nested->removeDiscardableAttr("prune.kept");
  });
}

FailureOr<func::FuncOp> DispatchFormer::buildKernel(const Item &item,
                                                    Signature &signature) {
  MLIRContext *context = module.getContext();
  Location loc = UnknownLoc::get(context);
  SmallVector<Type> types;
  SmallVector<ArrayAttr> dims;
  for (Value input : signature.inputs) {
    types.push_back(input.getType());
    dims.push_back(getExtents(input));
  }
  for (auto [result, type] :
       llvm::zip_equal(item.op->getResults(), signature.resultTypes)) {
    types.push_back(type);
    dims.push_back(getExtents(result));
  }
  OwningOpRef<func::FuncOp> kernel = func::FuncOp::create(
      loc, "kernel", FunctionType::get(context, types, signature.resultTypes));
  Block *block = kernel->addEntryBlock();
  for (auto [index, type] : llvm::enumerate(types)) {
    if (cast<ShapedType>(type).hasStaticShape())
      continue;
    if (!dims[index])
      return item.op->emitError("the extents of operand ")
             << index << " are no symbols of the step";
    kernel->setArgAttr(index, exec::dimsAttrName, dims[index]);
  }

  OpBuilder body = OpBuilder::atBlockBegin(block);
  IRMapping mapping;
  for (auto [input, argument] :
       llvm::zip(signature.inputs, block->getArguments()))
    mapping.map(input, argument);
  ValueRange destinations =
      block->getArguments().drop_front(signature.inputs.size());
  if (signature.throughDestination)
    mapping.map(signature.throughDestination, destinations[0]);

  auto findExtent = [&](Attribute extent) -> Value {
    if (auto number = dyn_cast<IntegerAttr>(extent))
      return arith::ConstantIndexOp::create(body, loc, number.getInt());
    for (auto [index, list] : llvm::enumerate(dims))
      if (list && !cast<ShapedType>(types[index]).hasStaticShape())
        for (auto [axis, other] : llvm::enumerate(list))
          if (other == extent)
            return tensor::DimOp::create(body, loc, block->getArgument(index),
                                         static_cast<int64_t>(axis));
    return nullptr;
  };
  for (Operation *op : signature.cloned) {
    auto dim = dyn_cast<tensor::DimOp>(op);
    Attribute extent = dim ? getIndexExtent(dim.getResult()) : Attribute();
    if (!extent) {
      body.clone(*op, mapping);
      continue;
    }
    Value size = findExtent(extent);
    if (!size)
      return item.op->emitError("needs the extent ")
             << extent << ", which is that of none of its operands or results";
    mapping.map(dim.getResult(), size);
  }

  Operation *op = body.clone(*item.op, mapping);
  for (auto [result, original, destination] :
       llvm::zip_equal(op->getResults(), item.op->getResults(), destinations)) {
    if (Value old = getInit(original)) {
      OpBuilder::InsertionGuard guard(body);
      body.setInsertionPoint(op);
      Value init = destination;
      if (auto fill = old.getDefiningOp<linalg::FillOp>();
          fill && isCloned(fill))
        init = linalg::FillOp::create(
                   body, loc, mapping.lookupOrDefault(fill.getInputs()[0]),
                   destination)
                   .getResult(0);
      else if (Operation *producer = old.getDefiningOp();
               producer && isCloned(producer) &&
               !isa<tensor::EmptyOp>(producer))
        init =
            linalg::CopyOp::create(body, loc, mapping.lookup(old), destination)
                .getResult(0);
      getTiedInit(result)->set(init);
    }
  }
  func::ReturnOp::create(body, loc, op->getResults());
  dropNames(*kernel);
  return kernel.release();
}

/// A name that says what it is: kind, widths, storage type of the weights.
static std::string getKernelName(func::FuncOp kernel, Operation *op,
                                 exec::Kind kind) {
  std::string name = exec::stringifyKind(kind).str();
  if (kind == exec::Kind::Other)
    name = op->getName().stripDialect().str();
  llvm::raw_string_ostream os(name);
  if (auto gemm = dyn_cast<prune::GemmOp>(op)) {
    auto weight = gemm.getWeight().getType();
    os << "_n" << weight.getDimSize(0) << "_k" << weight.getDimSize(1) << "_"
       << weight.getElementType();
    if (gemm.hasEpilogue())
      for (Operation &nested : gemm.getEpilogue().front().without_terminator())
        if (!isa<arith::ConstantOp>(nested))
          os << "_" << nested.getName().stripDialect();
  } else if (auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
             type && type.getRank() > 0) {
    if (!type.isDynamicDim(type.getRank() - 1))
      os << "_" << type.getShape().back();
  }
  for (char &c : name)
    if (!llvm::isAlnum(c))
      c = '_';
  return name;
}

/// The kernel's name in @kernels; an equal one that is there already is used
/// again.
SymbolRefAttr DispatchFormer::internKernel(func::FuncOp kernel, Operation *op,
                                           exec::Kind kind) {
  kernel->setAttr(exec::kindAttrName,
                  builder.getStringAttr(exec::stringifyKind(kind)));
  std::string text;
  llvm::raw_string_ostream os(text);
  kernel->print(os, OpPrintingFlags().printGenericOpForm().useLocalScope());
  SymbolRefAttr &known = kernelByText[text];
  if (known) {
    kernel.erase();
    return known;
  }
  std::string name = getKernelName(kernel, op, kind);
  if (int count = kernelNames[name]++)
    name += "_v" + std::to_string(count);
  kernel.setName(name);
  kernels.push_back(kernel);
  ++numKernels;
  return known = SymbolRefAttr::get(
             module.getContext(), exec::kernelsModuleName,
             {FlatSymbolRefAttr::get(kernel.getSymNameAttr())});
}

//===----------------------------------------------------------------------===//
// Dispatches
//===----------------------------------------------------------------------===//

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
      ArrayAttr(), args, builder.getDenseI64ArrayAttr(written),
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

LogicalResult DispatchFormer::form(const Item &item) {
  Operation *op = item.op;
  if (auto gemm = dyn_cast<prune::GemmOp>(op); gemm && gemm.hasSets())
    return op->emitError("expected a GEMM without sets: the cost of a dispatch "
                         "cannot follow a run-time count yet");
  if (op->getNumResults() == 0 || !isMemoryEffectFree(op))
    return op->emitError("expected only ops on tensors in @forward, found ")
           << op->getName();

  // Destinations are no inputs; what they are filled with is.
  Signature signature;
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
  if (item.value &&
      signature.destinations.front().getDefiningOp<exec::BufferOp>()) {
    dispatch.setValueAttr(item.value);
    if (ArrayAttr kept = getKeptRanges(op))
      dispatch.setKeptAttr(kept);
  }
  if (auto gemm = dyn_cast<prune::GemmOp>(op))
    dispatch.setGemmAttr(exec::GemmAttr::get(
        module.getContext(),
        exec::getExprAttr(exec::getExtentExpr(getExtents(gemm.getInput())[0])),
        gemm.getWeight().getType().getDimSize(0),
        gemm.getWeight().getType().getDimSize(1)));
  for (auto [result, home] :
       llvm::zip_equal(op->getResults(), signature.destinations))
    homes[result] = home;
  return success();
}

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
