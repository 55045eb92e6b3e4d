//===- DispatchSignatures.cpp - what kernels take and give
//-------------------===//
// In: an op of @forward. Out: the tensors that its kernel reads, what is cloned
// into the kernel because it holds no data, and where its results go: over an
// old value where nobody asks for that later, else into a buffer of their own.
//===----------------------------------------------------------------------===//
#include "DispatchFormer.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

using namespace mlir;
using namespace coppice;

//===----------------------------------------------------------------------===//
// What moves into kernels
//===----------------------------------------------------------------------===//

bool coppice::isReshape(Operation *op) {
  return isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp,
             tensor::ExtractSliceOp, tensor::CastOp>(op);
}

/// Does `op` only say what a kernel needs to know, and hold no data of the
/// step?
bool coppice::isCloned(Operation *op) {
  if (isa<tensor::EmptyOp, tensor::DimOp, arith::ConstantOp>(op) ||
      isReshape(op))
    return true;
  if (auto fill = dyn_cast<linalg::FillOp>(op))
    return fill.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>() != nullptr;
  return op->getNumRegions() == 0 && isMemoryEffectFree(op) &&
         llvm::none_of(op->getResultTypes(), llvm::IsaPred<TensorType>) &&
         llvm::none_of(op->getOperandTypes(), llvm::IsaPred<TensorType>);
}

bool coppice::isWeightLoad(Operation *op) {
  return isa<ml_program::GlobalLoadConstOp, ml_program::GlobalLoadOp>(op);
}

/// The operand that a result starts from: a destination, or a loop's initial
/// value; null if there is none.
OpOperand *coppice::getTiedInit(OpResult result) {
  if (auto destinationOp =
          dyn_cast<DestinationStyleOpInterface>(result.getOwner()))
    return destinationOp.getTiedOpOperand(result);
  if (auto loop = dyn_cast<LoopLikeOpInterface>(result.getOwner()))
    return loop.getTiedLoopInit(result);
  // What a GEMM over sets leaves out stays what it was.
  if (auto gemm = dyn_cast<prune::GemmOp>(result.getOwner());
      gemm && gemm.getInto())
    return &gemm.getIntoMutable()[0];
  return nullptr;
}

Value coppice::getInit(OpResult result) {
  OpOperand *operand = getTiedInit(result);
  return operand ? operand->get() : Value();
}

//===----------------------------------------------------------------------===//
// Signatures
//===----------------------------------------------------------------------===//

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

/// Sorts what `value` depends on into inputs and what is cloned.
void DispatchFormer::collect(Value value, DispatchSignature &signature,
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
Value DispatchFormer::findResidual(const DispatchItem &item) {
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
Value DispatchFormer::copyBefore(const DispatchItem &item, Value old) {
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
                                     bytes, exec::Arithmetic::F32, /*window=*/0,
                                     /*executed_per_flop=*/1));
  return copy;
}

/// Where a result that starts from `old` goes: `old`'s own home if this is the
/// last that anyone sees of `old`.
FailureOr<Value> DispatchFormer::chooseInPlace(const DispatchItem &item,
                                               Value old, bool otherwiseRead) {
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
LogicalResult DispatchFormer::chooseDestinations(const DispatchItem &item,
                                                 DispatchSignature &signature) {
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
    if (auto gemm = dyn_cast<prune::GemmOp>(op); gemm && old) {
      // The epilogue may read where it writes, the product may not.
      bool isExtra = llvm::is_contained(gemm.getExtras(), old);
      destination =
          chooseInPlace(item, old, /*otherwiseRead=*/old == gemm.getInput());
      if (isExtra)
        signature.throughDestination = old;
      if (item.group && item.value == item.group)
        closedGroups.insert(item.group);
    } else if (old) {
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
