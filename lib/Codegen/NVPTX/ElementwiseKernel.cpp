//===- ElementwiseKernel.cpp - any function of elements, on a GPU ---------===//
//
// In: a kernel that is, once decomposed and fused, one linalg op without sums:
// activations, residual updates, tables of angles, decisions of routes. Out: a
// thread computes one access of the results: as many neighbouring elements as
// 16 bytes hold of the widest type, where the width allows it. What lies as the
// results do is read as one access, too; what is the same for all of its
// elements, once; anything else, such as what a body extracts, element by
// element.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "Strategies.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

constexpr int64_t kThreads = 256;

/// How an operand is read.
enum class Access {
  None, // it is not: only its shape matters
  Run,  // as the results are written, or a part of their dimensions is
  Once, // one element for all of a run
  Each, // an element for each
};

class ElementwiseEmitter : KernelBuilder {
public:
  /// The op that computes all results, each of it into its own destination;
  /// null if the kernel is not elementwise. It has been decomposed.
  static linalg::LinalgOp find(func::FuncOp kernel);

  /// Elements of a run.
  static int64_t runOfResults(linalg::LinalgOp op);

  ElementwiseEmitter(ImplicitLocOpBuilder &b, KernelShell &shell,
                     linalg::LinalgOp op)
      : KernelBuilder(b, shell), op(op), run(runOfResults(op)) {}

  void emit();

private:
  static Access accessOf(linalg::LinalgOp op, OpOperand &operand);
  static bool isBodySimple(func::FuncOp kernel, linalg::LinalgOp op);

  Value constantTable(OpOperand &operand);
  Value addressAt(OpOperand &operand, ValueRange coordinates);
  Value coordinateAlong(AffineExpr expr, ValueRange coordinates);
  SmallVector<Value> computeElement(ArrayRef<Value> elements,
                                    ValueRange coordinates);
  Value toIndex(Value value) {
    return arith::IndexCastOp::create(b, b.getIndexType(), value);
  }
  Value toI32(Value value) {
    return arith::IndexCastOp::create(b, b.getI32Type(), value);
  }
  unsigned firstResult() {
    return shell.kernel.getNumArguments() - op->getNumResults();
  }

  linalg::LinalgOp op;
  int64_t run;
  DenseMap<OpOperand *, Value> tables;
};

/// The constant that an operand is.
DenseElementsAttr constantOf(Value value) {
  DenseElementsAttr constant;
  matchPattern(value, m_Constant(&constant));
  return constant;
}

Access ElementwiseEmitter::accessOf(linalg::LinalgOp op, OpOperand &operand) {
  if (op.getMatchingBlockArgument(&operand).use_empty())
    return Access::None;
  AffineMap map = op.getMatchingIndexingMap(&operand);
  unsigned last = op.getNumLoops() - 1;
  bool dependsOnLast = map.isFunctionOfDim(last);
  if (!dependsOnLast)
    return Access::Once;
  auto innermost = dyn_cast<AffineDimExpr>(map.getResults().back());
  bool isRun = innermost && innermost.getPosition() == last &&
               !map.dropResult(map.getNumResults() - 1).isFunctionOfDim(last);
  return isRun ? Access::Run : Access::Each;
}

/// Can every op of the body be cloned for a thread?
bool ElementwiseEmitter::isBodySimple(func::FuncOp kernel,
                                      linalg::LinalgOp op) {
  auto isDestination = [&](Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getArgNumber() >=
                           kernel.getNumArguments() - op->getNumResults();
  };
  Block *body = op.getBlock();
  for (Operation &inner : body->without_terminator()) {
    if (auto extract = dyn_cast<tensor::ExtractOp>(inner)) {
      // What other threads write must not be read.
      if (!isa<BlockArgument>(extract.getTensor()) ||
          isDestination(extract.getTensor()))
        return false;
    } else if (!isa<linalg::IndexOp>(inner) &&
               !inner.hasTrait<OpTrait::ConstantLike>() &&
               !OpTrait::hasElementwiseMappableTraits(&inner)) {
      return false;
    }
  }
  WalkResult walk = body->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands()) {
      bool isTensor = isa<RankedTensorType>(operand.getType());
      if (operand.getParentBlock() != body && !isTensor &&
          !matchPattern(operand, m_Constant()))
        return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return !walk.wasInterrupted();
}

linalg::LinalgOp ElementwiseEmitter::find(func::FuncOp kernel) {
  Operation *end = kernel.front().getTerminator();
  if (end->getNumOperands() == 0 ||
      end->getNumOperands() > kernel.getNumArguments())
    return {};
  auto op = end->getOperand(0).getDefiningOp<linalg::LinalgOp>();
  if (!op || op.getNumLoops() == 0 || op.getNumReductionLoops() != 0 ||
      end->getNumOperands() != op->getNumResults() || !isBodySimple(kernel, op))
    return {};
  unsigned first = kernel.getNumArguments() - op->getNumResults();
  for (OpResult result : op->getResults())
    if (end->getOperand(result.getResultNumber()) != result ||
        !op.getIndexingMapMatchingResult(result).isIdentity() ||
        kernel.getArgumentTypes()[first + result.getResultNumber()] !=
            result.getType())
      return {};
  for (OpOperand &operand : op->getOpOperands()) {
    Access access = accessOf(op, operand);
    if (access == Access::None)
      continue;
    auto argument = dyn_cast<BlockArgument>(operand.get());
    if (!isa<RankedTensorType>(operand.get().getType()) ||
        (!argument && !constantOf(operand.get())))
      return {};
    // A destination is read where it is written, and nowhere else.
    if (argument && argument.getArgNumber() >= first &&
        !op.getMatchingIndexingMap(&operand).isIdentity())
      return {};
  }
  return op;
}

int64_t ElementwiseEmitter::runOfResults(linalg::LinalgOp op) {
  SmallVector<Type> types;
  int64_t width = 1;
  for (Value result : op->getResults()) {
    auto type = cast<RankedTensorType>(result.getType());
    types.push_back(type.getElementType());
    if (!type.isDynamicDim(type.getRank() - 1))
      width = type.getDimSize(type.getRank() - 1);
  }
  for (OpOperand &operand : op->getOpOperands())
    if (accessOf(op, operand) == Access::Run)
      types.push_back(getElementTypeOrSelf(operand.get()));
  return elementsOfAccess(width, types);
}

/// Where the numbers of a constant are; null for a number that is the same
/// everywhere.
Value ElementwiseEmitter::constantTable(OpOperand &operand) {
  DenseElementsAttr constant = constantOf(operand.get());
  if (!constant || constant.isSplat())
    return {};
  Value &table = tables[&operand];
  if (table)
    return table;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(shell.function);
  std::string name =
      (shell.function.getName() + ".table" + Twine(operand.getOperandNumber()))
          .str();
  auto global = LLVM::GlobalOp::create(
      b,
      LLVM::LLVMArrayType::get(constant.getElementType(),
                               constant.getNumElements()),
      /*isConstant=*/true, LLVM::Linkage::Internal, name,
      constant.reshape(RankedTensorType::get({constant.getNumElements()},
                                             constant.getElementType())),
      /*alignment=*/16, /*addrSpace=*/1);
  b.setInsertionPointToStart(&shell.function.front());
  return table = LLVM::AddressOfOp::create(b, global);
}

Value ElementwiseEmitter::coordinateAlong(AffineExpr expr,
                                          ValueRange coordinates) {
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return coordinates[dim.getPosition()];
  SmallVector<Value> dims;
  for (Value each : coordinates)
    dims.push_back(toIndex(each));
  return toI32(affine::expandAffineExpr(b, b.getLoc(), expr, dims, {}));
}

/// The address of the element of an operand at a point of the loops.
Value ElementwiseEmitter::addressAt(OpOperand &operand,
                                    ValueRange coordinates) {
  SmallVector<Value> indices;
  for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults())
    indices.push_back(coordinateAlong(expr, coordinates));
  Value table = constantTable(operand);
  if (!table)
    return addressOf(operand.get(), indices);
  auto type = cast<RankedTensorType>(operand.get().getType());
  Value index = i32(0);
  for (auto [each, extent] : llvm::zip_equal(indices, type.getShape()))
    index = add(mul(index, extent), each);
  return at(table, mul(index, type.getElementTypeBitWidth() / 8));
}

/// Clones the body for the elements of all operands at a point.
SmallVector<Value> ElementwiseEmitter::computeElement(ArrayRef<Value> elements,
                                                      ValueRange coordinates) {
  Block *body = op.getBlock();
  IRMapping mapping;
  for (auto [argument, element] :
       llvm::zip_equal(body->getArguments(), elements))
    if (element)
      mapping.map(argument, element);
  for (Operation &inner : *body) {
    // Constants from around the body.
    for (Value operand : inner.getOperands())
      if (operand.getParentBlock() != body && !mapping.contains(operand) &&
          !isa<RankedTensorType>(operand.getType()))
        b.clone(*operand.getDefiningOp(), mapping);
    if (&inner == body->getTerminator())
      break;
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      mapping.map(index.getResult(), toIndex(coordinates[index.getDim()]));
    } else if (auto extract = dyn_cast<tensor::ExtractOp>(inner)) {
      SmallVector<Value> indices;
      for (Value each : extract.getIndices())
        indices.push_back(toI32(mapping.lookup(each)));
      mapping.map(
          extract.getResult(),
          load(extract.getType(), addressOf(extract.getTensor(), indices)));
    } else {
      b.clone(inner, mapping);
    }
  }
  SmallVector<Value> results;
  for (Value each : body->getTerminator()->getOperands())
    results.push_back(mapping.lookup(each));
  return results;
}

void ElementwiseEmitter::emit() {
  unsigned rank = op.getNumLoops(), first = firstResult();
  SmallVector<Value> extents;
  for (unsigned dim = 0; dim < rank; ++dim)
    extents.push_back(extentOf(shell.kernel.getArgument(first), dim));
  Value perRow = extents.back();
  if (run > 1)
    perRow = div(perRow, run);
  Value all = perRow;
  for (Value extent : ArrayRef(extents).drop_back())
    all = mul(all, extent);

  forEachItem([&](Value item) {
    Value number = add(mul(item, shell.threads), thread());
    ifThen(less(number, all), [&] {
      SmallVector<Value> coordinates(rank);
      coordinates.back() =
          rank == 1 ? mul(number, run) : mul(rem(number, perRow), run);
      Value outer = rank == 1 ? Value() : div(number, perRow);
      for (int64_t dim = static_cast<int64_t>(rank) - 2; dim >= 0; --dim) {
        coordinates[dim] = dim ? rem(outer, extents[dim]) : outer;
        if (dim)
          outer = div(outer, extents[dim]);
      }

      SmallVector<Value> read; // what an operand has for all of the run
      for (OpOperand &operand : op->getOpOperands()) {
        Access access = accessOf(op, operand);
        Type type = getElementTypeOrSelf(operand.get());
        DenseElementsAttr constant = constantOf(operand.get());
        if (access == Access::None || access == Access::Each)
          read.push_back({});
        else if (constant && constant.isSplat())
          read.push_back(arith::ConstantOp::create(
              b, cast<TypedAttr>(constant.getSplatValue<Attribute>())));
        else
          read.push_back(loadRun(type, addressAt(operand, coordinates),
                                 access == Access::Run ? run : 1));
      }
      SmallVector<SmallVector<Value>> results(op->getNumResults());
      for (int64_t i = 0; i < run; ++i) {
        SmallVector<Value> point = coordinates, elements;
        point.back() = add(point.back(), i);
        for (auto [operand, values] :
             llvm::zip_equal(op->getOpOperands(), read)) {
          Access access = accessOf(op, operand);
          if (access == Access::None)
            elements.push_back({});
          else if (access == Access::Each)
            elements.push_back(load(getElementTypeOrSelf(operand.get()),
                                    addressAt(operand, point)));
          else
            elements.push_back(elementOf(values, i));
        }
        for (auto [result, value] :
             llvm::zip_equal(results, computeElement(elements, point)))
          result.push_back(value);
      }
      for (auto [index, values] : llvm::enumerate(results)) {
        Value to = shell.arguments[first + index];
        int64_t bytes = values.front().getType().getIntOrFloatBitWidth() / 8;
        Value wide = arith::ExtSIOp::create(b, b.getI64Type(), number);
        storeRun(runOf(values),
                 at(to, arith::MulIOp::create(b, wide, i64(run * bytes))));
      }
    });
  });
}

} // namespace

PlanOrNone planElementwise(func::FuncOp kernel) {
  // It is decomposed on a copy.
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(module->getBody());
  auto copy = cast<func::FuncOp>(builder.clone(*kernel));
  if (failed(decomposeAndFuse(copy)))
    return FailureOr<KernelPlan>(failure());
  linalg::LinalgOp op = ElementwiseEmitter::find(copy);
  if (!op)
    return std::nullopt;
  unsigned destination = kernel.getNumArguments() - 1;
  AffineExpr runs = builder.getAffineConstantExpr(1);
  for (unsigned dim = 0, rank = op.getNumLoops(); dim < rank; ++dim) {
    FailureOr<AffineExpr> extent = getArgumentExtent(kernel, destination, dim);
    if (failed(extent))
      return FailureOr<KernelPlan>(failure());
    runs =
        runs * (dim + 1 < rank
                    ? *extent
                    : extent->floorDiv(ElementwiseEmitter::runOfResults(op)));
  }
  return FailureOr<KernelPlan>(planAlways(
      kernel,
      makeConfig(kernel.getContext(), kElementwise, {{"threads", kThreads}}),
      makeGrid(runs.ceilDiv(kThreads))));
}

LogicalResult emitElementwise(func::FuncOp kernel) {
  if (failed(decomposeAndFuse(kernel)))
    return failure();
  linalg::LinalgOp op = ElementwiseEmitter::find(kernel);
  if (!op)
    return kernel.emitError("expected one op without sums in a kernel of "
                            "strategy \"elementwise\"");
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  ElementwiseEmitter(builder, *shell, op).emit();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
