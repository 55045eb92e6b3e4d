//===- TiledLoops.cpp - any kernel, as loops ------------------------------===//
//
// - Ops with a decomposition become linalg.
// - The destination arguments take the place of the empty tensors that results
//   were going to be computed into.
// - The op that computes the results (the root) is tiled along its outermost
//   parallel dimension, and what it needs is fused into the tile. A root that
//   is an scf.for over rows (a cache update) is that loop already.
// - The function is bufferized. What is left of intermediate values belongs to
//   one tile: small, static, on the stack. An allocation of anything larger
//   means that a destination would be copied, or that fusion failed: an error.
// - The loop over tiles runs over what the shell says.
//
//===----------------------------------------------------------------------===//

#include "coppice/Codegen/TiledLoops.h"
#include "coppice/Codegen/KernelPlan.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotModuleBufferize.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/TilingInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallBitVector.h"

using namespace mlir;

namespace coppice {
namespace {

/// Marks the loop over tiles while the function is bufferized.
constexpr StringLiteral kTilesAttrName = "coppice.tiles";

//===----------------------------------------------------------------------===//
// From a kernel's ops to its root
//===----------------------------------------------------------------------===//

/// The op that computes a kernel's results, and the dimension it is split
/// along.
struct Root {
  Operation *op = nullptr;
  /// The loop of a tilable op; -1 if all of it is one work item.
  int64_t loop = -1;
};

LogicalResult decompose(func::FuncOp function) {
  IRRewriter rewriter(function.getContext());
  while (true) {
    SmallVector<linalg::AggregatedOpInterface> ops;
    function.walk([&](linalg::AggregatedOpInterface op) { ops.push_back(op); });
    if (ops.empty())
      return success();
    for (linalg::AggregatedOpInterface op : ops) {
      rewriter.setInsertionPoint(op);
      FailureOr<SmallVector<Value>> values = op.decomposeOperation(rewriter);
      if (failed(values))
        return op->emitError("has no decomposition to linalg");
      rewriter.replaceOp(op, *values);
    }
  }
}

/// Fuses elementwise producers into consumers of as many loops: into any other,
/// they would be computed once for each loop that is added.
void fuseElementwise(func::FuncOp function) {
  RewritePatternSet patterns(function.getContext());
  linalg::populateElementwiseOpsFusionPatterns(patterns, [](OpOperand *use) {
    auto producer = use->get().getDefiningOp<linalg::LinalgOp>();
    auto consumer = dyn_cast<linalg::LinalgOp>(use->getOwner());
    return producer && consumer && producer->hasOneUse() &&
           producer.getNumLoops() == consumer.getNumLoops();
  });
  (void)applyPatternsGreedily(function, std::move(patterns));
}

/// The operand that `result` is computed into.
OpOperand *getInit(OpResult result) {
  Operation *op = result.getOwner();
  if (auto destination = dyn_cast<DestinationStyleOpInterface>(op))
    return destination.getTiedOpOperand(result);
  if (auto loop = dyn_cast<LoopLikeOpInterface>(op))
    return loop.getTiedLoopInit(result);
  return nullptr;
}

/// Makes result `number` be computed into `destination`, where it now starts
/// from an empty tensor of the same type.
void linkDestination(Value result, BlockArgument destination) {
  while (auto value = dyn_cast<OpResult>(result)) {
    OpOperand *init = getInit(value);
    if (!init)
      return;
    if (init->get().getDefiningOp<tensor::EmptyOp>()) {
      if (init->get().getType() == destination.getType())
        init->set(destination);
      return;
    }
    result = init->get();
  }
}

/// A map's result along the dimensions `cut`, of which a tile has a part: is
/// what the tile reads a slice that starts where the tile starts? It is for
/// sums of dimensions times factors. What a tile reads along all of another
/// dimension has to begin at 0 and to end where the dimension ends, or its
/// slice would be too short: there divisions are fine too, remainders are not.
bool isSliced(AffineExpr expr, const llvm::SmallBitVector &cut) {
  bool isCut = llvm::any_of(
      cut.set_bits(), [&](unsigned dim) { return expr.isFunctionOfDim(dim); });
  if (isa<AffineDimExpr>(expr))
    return true;
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary) {
    auto constant = dyn_cast<AffineConstantExpr>(expr);
    return constant && constant.getValue() >= 0;
  }
  AffineExpr left = binary.getLHS(), right = binary.getRHS();
  auto factor = dyn_cast<AffineConstantExpr>(right);
  switch (binary.getKind()) {
  case AffineExprKind::Add:
    return !isa<AffineConstantExpr>(left) && !factor && isSliced(left, cut) &&
           isSliced(right, cut);
  case AffineExprKind::Mul:
    return factor && factor.getValue() >= 0 && isSliced(left, cut);
  case AffineExprKind::FloorDiv:
  case AffineExprKind::CeilDiv:
    return !isCut && factor && factor.getValue() > 0 && isSliced(left, cut);
  default:
    return false;
  }
}

/// Tiling takes from each operand the slice between what the first and what the
/// last point of a tile read. Refuses maps for which that is not all that the
/// tile reads: the kernel would compute something else.
LogicalResult checkSlices(func::FuncOp function, const Root &root) {
  if (root.loop < 0)
    return success();
  DenseMap<Value, llvm::SmallBitVector> cutAxes; // of what tiles read
  auto mark = [&](Value value, unsigned axis) {
    auto rank = cast<ShapedType>(value.getType()).getRank();
    auto &axes = cutAxes.try_emplace(value, rank).first->second;
    axes.set(axis);
  };
  if (auto loop = dyn_cast<scf::ForOp>(root.op))
    for (auto slice : loop.getBody()->getOps<tensor::ExtractSliceOp>())
      for (unsigned axis = 0, end = slice.getSourceType().getRank(); axis < end;
           ++axis)
        mark(slice.getSource(), axis);

  for (Operation &nested : llvm::reverse(function.front())) {
    auto op = dyn_cast<linalg::LinalgOp>(nested);
    if (!op)
      continue;
    bool isRoot = &nested == root.op;
    llvm::SmallBitVector cut(op.getNumLoops());
    if (isRoot)
      cut.set(root.loop);
    for (OpResult result : op->getResults())
      if (auto axes = cutAxes.find(result); axes != cutAxes.end()) {
        AffineMap map = op.getIndexingMapMatchingResult(result);
        for (unsigned axis : axes->second.set_bits())
          for (unsigned dim = 0; dim < op.getNumLoops(); ++dim)
            if (map.getResult(axis).isFunctionOfDim(dim))
              cut.set(dim);
      }
    if (cut.none())
      continue;
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = op.getMatchingIndexingMap(&operand);
      for (auto [axis, expr] : llvm::enumerate(map.getResults())) {
        bool isCut = llvm::any_of(cut.set_bits(), [&](unsigned dim) {
          return expr.isFunctionOfDim(dim);
        });
        // A dimension that the root is not tiled along is not sliced at all.
        if ((isCut || !isRoot) && !isSliced(expr, cut)) {
          std::string text;
          llvm::raw_string_ostream(text) << expr;
          return op.emitError("cannot be computed by tiles: operand ")
                 << operand.getOperandNumber() << " is read at " << text
                 << " along its axis " << axis
                 << ", which is no slice of it; compute the index in the body";
        }
        if (isCut)
          mark(operand.get(), axis);
      }
    }
  }
  return success();
}

FailureOr<Root> prepare(func::FuncOp function, bool exact) {
  if (failed(decompose(function)))
    return failure();
  if (!exact)
    fuseElementwise(function);

  auto end = cast<func::ReturnOp>(function.front().getTerminator());
  unsigned results = end.getNumOperands();
  if (results == 0 || results > function.getNumArguments())
    return function.emitError()
           << "expected a kernel with as many trailing destination arguments "
              "as results, found "
           << results << " results and " << function.getNumArguments()
           << " arguments";
  unsigned first = function.getNumArguments() - results;
  Root root;
  for (auto [number, value] : llvm::enumerate(end.getOperands())) {
    linkDestination(value, function.getArgument(first + number));
    Operation *op = value.getDefiningOp();
    if (number == 0)
      root.op = op;
    else if (root.op != op)
      return end.emitError("expected all results of a kernel to be computed by "
                           "one operation");
  }

  if (auto linalgOp = dyn_cast_or_null<linalg::LinalgOp>(root.op)) {
    for (auto [loop, type] :
         llvm::enumerate(linalgOp.getIteratorTypesArray())) {
      if (type == utils::IteratorType::parallel) {
        root.loop = loop;
        break;
      }
    }
  } else if (auto loop = dyn_cast_or_null<scf::ForOp>(root.op)) {
    APInt step;
    if (matchPattern(loop.getLowerBound(), m_Zero()) &&
        matchPattern(loop.getStep(), m_One()))
      root.loop = 0;
  }
  if (failed(checkSlices(function, root)))
    return failure();
  return root;
}

//===----------------------------------------------------------------------===//
// Planning
//===----------------------------------------------------------------------===//

/// Finds extents of tensors inside a kernel as expressions of its symbols.
class ExtentResolver {
public:
  explicit ExtentResolver(func::FuncOp kernel) : kernel(kernel) {}

  FailureOr<AffineExpr> ofDimension(Value tensor, int64_t dim) {
    auto type = cast<RankedTensorType>(tensor.getType());
    if (!type.isDynamicDim(dim))
      return getAffineConstantExpr(type.getDimSize(dim), kernel.getContext());
    if (auto argument = dyn_cast<BlockArgument>(tensor)) {
      if (argument.getOwner() != &kernel.front())
        return failure();
      return getArgumentExtent(kernel, argument.getArgNumber(), dim);
    }
    if (auto empty = tensor.getDefiningOp<tensor::EmptyOp>())
      return ofValue(empty.getDynamicSize(dim));
    if (OpOperand *init = getInit(cast<OpResult>(tensor)))
      return ofDimension(init->get(), dim);
    return failure();
  }

  FailureOr<AffineExpr> ofValue(Value index) {
    APInt constant;
    if (matchPattern(index, m_ConstantInt(&constant)))
      return getAffineConstantExpr(constant.getSExtValue(),
                                   kernel.getContext());
    if (auto dim = index.getDefiningOp<tensor::DimOp>())
      if (std::optional<int64_t> position = dim.getConstantIndex())
        return ofDimension(dim.getSource(), *position);
    return failure();
  }

  FailureOr<AffineExpr> ofRoot(const Root &root) {
    if (root.loop < 0)
      return getAffineConstantExpr(1, kernel.getContext());
    if (auto loop = dyn_cast<scf::ForOp>(root.op))
      return ofValue(loop.getUpperBound());
    auto op = cast<linalg::LinalgOp>(root.op);
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = op.getMatchingIndexingMap(&operand);
      for (auto [dim, expr] : llvm::enumerate(map.getResults()))
        if (expr == getAffineDimExpr(root.loop, kernel.getContext()))
          if (FailureOr<AffineExpr> extent = ofDimension(operand.get(), dim);
              succeeded(extent))
            return extent;
    }
    return failure();
  }

private:
  func::FuncOp kernel;
};

} // namespace

LogicalResult decomposeAndFuse(func::FuncOp function) {
  if (failed(decompose(function)))
    return failure();
  fuseElementwise(function);
  return success();
}

FailureOr<TiledWork> findTiledWork(func::FuncOp kernel, bool exact) {
  // The root appears once the kernel is prepared, which is done on a copy.
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(module->getBody());
  auto copy = cast<func::FuncOp>(builder.clone(*kernel));
  FailureOr<Root> root = prepare(copy, exact);
  if (failed(root))
    return failure();
  FailureOr<AffineExpr> extent = ExtentResolver(copy).ofRoot(*root);
  if (failed(extent))
    return kernel.emitError(
        "the extent that the work of this kernel is split along is none of the "
        "extents of its arguments");
  auto op = dyn_cast_or_null<linalg::LinalgOp>(root->op);
  return TiledWork{*extent, op && op.getNumLoops() == 1 && root->loop == 0};
}

//===----------------------------------------------------------------------===//
// Tiling
//===----------------------------------------------------------------------===//

namespace {

/// Tiles the root into an scf.forall with its producers fused.
LogicalResult tileRoot(func::FuncOp function, Root root, int64_t tile) {
  IRRewriter rewriter(function.getContext());
  auto op = dyn_cast<TilingInterface>(root.op);
  if (!op)
    return root.op->emitError("expected an operation that can be tiled");
  SmallVector<OpFoldResult> sizes(op.getLoopIteratorTypes().size(),
                                  rewriter.getIndexAttr(0));
  sizes[root.loop] = rewriter.getIndexAttr(tile);
  scf::SCFTileAndFuseOptions options;
  options.tilingOptions.setTileSizes(sizes).setLoopType(
      scf::SCFTilingOptions::LoopType::ForallOp);
  rewriter.setInsertionPoint(root.op);
  FailureOr<scf::SCFTileAndFuseResult> tiled =
      scf::tileConsumerAndFuseProducersUsingSCF(rewriter, op, options);
  if (failed(tiled) || tiled->loops.size() != 1)
    return root.op->emitError("cannot be tiled along its loop ") << root.loop;
  for (auto [from, to] : tiled->replacements)
    rewriter.replaceAllUsesWith(from, to);

  auto loop = cast<scf::ForallOp>(tiled->loops.front().getOperation());
  loop->setAttr(kTilesAttrName, rewriter.getUnitAttr());
  // Inside, a destination is known by its loop-carried name: reads of the old
  // contents (a residual) are then seen to touch only what the tile writes.
  for (auto [init, inner] :
       llvm::zip_equal(loop.getOutputs(), loop.getRegionIterArgs()))
    rewriter.replaceUsesWithIf(init, inner, [&](OpOperand &use) {
      return loop->isProperAncestor(use.getOwner());
    });
  return success();
}

/// Moves what the rows of a cache update are computed by into its loop.
LogicalResult fuseIntoLoop(scf::ForOp loop) {
  IRRewriter rewriter(loop.getContext());
  loop->setAttr(kTilesAttrName, rewriter.getUnitAttr());
  SmallVector<tensor::ExtractSliceOp> slices(
      loop.getBody()->getOps<tensor::ExtractSliceOp>());
  while (!slices.empty()) {
    tensor::ExtractSliceOp slice = slices.pop_back_val();
    auto source = dyn_cast<OpResult>(slice.getSource());
    auto producer = slice.getSource().getDefiningOp<TilingInterface>();
    if (!producer || loop->isProperAncestor(producer))
      continue;
    rewriter.setInsertionPoint(slice);
    FailureOr<TilingResult> tiled = producer.generateResultTileValue(
        rewriter, source.getResultNumber(), slice.getMixedOffsets(),
        slice.getMixedSizes());
    if (failed(tiled))
      return producer.emitError("cannot be fused into the loop that uses it");
    Value value = tiled->tiledValues.front();
    if (value.getType() != slice.getType())
      value = tensor::createCanonicalRankReducingExtractSliceOp(
          rewriter, slice.getLoc(), value, slice.getType());
    rewriter.replaceOp(slice, value);
    for (Operation *made : tiled->generatedSlices)
      if (auto next = dyn_cast<tensor::ExtractSliceOp>(made))
        slices.push_back(next);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

LogicalResult bufferize(ModuleOp module, func::FuncOp function,
                        PipelineRunner runPipeline) {
  // A slice of an empty tensor is a small empty tensor.
  RewritePatternSet patterns(module.getContext());
  tensor::populateFoldTensorEmptyPatterns(patterns);
  (void)applyPatternsGreedily(function, std::move(patterns));

  OpPassManager clean(ModuleOp::getOperationName());
  clean.addPass(createCanonicalizerPass());
  clean.addPass(createCSEPass());
  if (failed(runPipeline(clean, module)))
    return failure();

  Builder builder(module.getContext());
  unsigned first = function.getNumArguments() - function.getNumResults();
  for (unsigned arg = 0; arg < function.getNumArguments(); ++arg)
    function.setArgAttr(arg,
                        bufferization::BufferizationDialect::kWritableAttrName,
                        builder.getBoolAttr(arg >= first));

  bufferization::OneShotBufferizationOptions options;
  options.bufferizeFunctionBoundaries = true;
  options.setFunctionBoundaryTypeConversion(
      bufferization::LayoutMapOption::IdentityLayoutMap);
  bufferization::BufferizationState state;
  if (failed(bufferization::runOneShotModuleBufferize(module, options, state)))
    return failure();
  return runPipeline(clean, module);
}

/// Every result must be its destination; then there is nothing to return.
LogicalResult dropResults(func::FuncOp function) {
  auto end = cast<func::ReturnOp>(function.front().getTerminator());
  unsigned first = function.getNumArguments() - end.getNumOperands();
  for (auto [number, value] : llvm::enumerate(end.getOperands())) {
    while (auto view = value.getDefiningOp<ViewLikeOpInterface>())
      value = view.getViewSource();
    if (value != function.getArgument(first + number))
      return function.emitError()
             << "result " << number
             << " is not computed in place: it would have to be copied into "
                "its destination";
  }
  end->setOperands({});
  return success();
}

/// Puts temporaries on the stack, once for all tiles.
LogicalResult placeTemporaries(func::FuncOp function, int64_t limit) {
  SmallVector<memref::AllocOp> allocations;
  function.walk([&](memref::AllocOp op) { allocations.push_back(op); });
  IRRewriter rewriter(function.getContext());
  int64_t total = 0;
  for (memref::AllocOp allocation : allocations) {
    MemRefType type = allocation.getType();
    if (allocation.use_empty()) {
      rewriter.eraseOp(allocation);
      continue;
    }
    if (!type.hasStaticShape())
      return allocation.emitError()
             << "a kernel would need a temporary of dynamic size, " << type
             << ": part of it cannot be fused by rows";
    total += type.getNumElements() *
             llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    rewriter.setInsertionPointToStart(&function.front());
    Value local = memref::AllocaOp::create(rewriter, allocation.getLoc(), type,
                                           rewriter.getI64IntegerAttr(64));
    rewriter.replaceOp(allocation, local);
  }
  if (total > limit)
    return function.emitError()
           << "a kernel would need " << total
           << " bytes of temporaries on the stack, at most " << limit
           << " are allowed";
  return success();
}

LogicalResult lowerToLoops(func::FuncOp function) {
  IRRewriter rewriter(function.getContext());
  SmallVector<memref::CopyOp> copies;
  function.walk([&](memref::CopyOp op) { copies.push_back(op); });
  for (memref::CopyOp copy : copies) {
    rewriter.setInsertionPoint(copy);
    linalg::makeMemRefCopyOp(rewriter, copy.getLoc(), copy.getSource(),
                             copy.getTarget());
    rewriter.eraseOp(copy);
  }
  SmallVector<linalg::LinalgOp> ops;
  function.walk([&](linalg::LinalgOp op) { ops.push_back(op); });
  for (linalg::LinalgOp op : ops) {
    rewriter.setInsertionPoint(op);
    if (failed(linalg::linalgOpToLoops(rewriter, op)))
      return op.emitError("cannot be lowered to loops");
    rewriter.eraseOp(op);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Work items
//===----------------------------------------------------------------------===//

/// The loop over tiles in a block; null if there is none.
Operation *findTiles(Block &block) {
  for (Operation &op : block)
    if (op.hasAttr(kTilesAttrName))
      return &op;
  return nullptr;
}

/// Makes the loop over tiles run over those from `begin` to `end`.
LogicalResult distribute(Operation *tiles, Value begin, Value end) {
  if (auto loop = dyn_cast<scf::ForOp>(tiles)) {
    loop.setLowerBound(begin);
    loop.setUpperBound(end);
    loop->removeAttr(kTilesAttrName);
    return success();
  }
  auto forall = dyn_cast<scf::ForallOp>(tiles);
  if (!forall || forall.getRank() != 1 || forall->getNumResults())
    return tiles->emitError("expected one loop over tiles without results");
  IRRewriter rewriter(forall);
  Location loc = forall.getLoc();
  Value one = arith::ConstantIndexOp::create(rewriter, loc, 1);
  Value start = getValueOrCreateConstantIndexOp(rewriter, loc,
                                                forall.getMixedLowerBound()[0]);
  Value step =
      getValueOrCreateConstantIndexOp(rewriter, loc, forall.getMixedStep()[0]);
  auto loop = scf::ForOp::create(rewriter, loc, begin, end, one);
  rewriter.setInsertionPointToStart(loop.getBody());
  Value offset =
      arith::MulIOp::create(rewriter, loc, loop.getInductionVar(), step);
  Value position = arith::AddIOp::create(rewriter, loc, start, offset);
  rewriter.eraseOp(forall.getTerminator());
  rewriter.inlineBlockBefore(forall.getBody(), loop.getBody()->getTerminator(),
                             position);
  rewriter.eraseOp(forall);
  return success();
}

/// Copies the body of `source` into `shell`, to run for the items of the call.
LogicalResult fillShell(const TiledLoopsShell &shell, func::FuncOp source) {
  IRMapping mapping;
  for (auto [from, to] :
       llvm::zip_equal(source.getArguments(), shell.arguments))
    mapping.map(from, to);
  OpBuilder builder(shell.body->getTerminator());
  Operation *tiles = findTiles(source.front());
  scf::ForOp whole; // without tiles, one work item does all
  if (!tiles) {
    Value one = arith::ConstantIndexOp::create(builder, source.getLoc(), 1);
    whole = scf::ForOp::create(builder, source.getLoc(), shell.begin, shell.end,
                               one);
  }
  for (Operation &op : source.front().without_terminator()) {
    if (whole && isa<memref::AllocaOp>(op))
      builder.setInsertionPoint(whole);
    else if (whole)
      builder.setInsertionPoint(whole.getBody()->getTerminator());
    builder.clone(op, mapping);
  }
  return tiles ? distribute(findTiles(*shell.body), shell.begin, shell.end)
               : success();
}

/// Lets LLVM reorder sums and form FMAs.
void relaxArithmetic(func::FuncOp function) {
  auto flags = arith::FastMathFlagsAttr::get(
      function.getContext(),
      arith::FastMathFlags::reassoc | arith::FastMathFlags::contract);
  function.walk([&](arith::ArithFastMathInterface op) {
    op->setAttr(op.getFastMathAttrName(), flags);
  });
}

/// Moves constants that bufferization made beside the kernel, under new names.
void moveGlobals(ModuleOp from, func::FuncOp kernel) {
  SymbolTable target(kernel->getParentOfType<ModuleOp>());
  for (auto global :
       llvm::make_early_inc_range(from.getBody()->getOps<memref::GlobalOp>())) {
    auto name = StringAttr::get(from.getContext(),
                                kernel.getName() + "." + global.getName());
    (void)SymbolTable::replaceAllSymbolUses(global, name, from);
    global->remove();
    global.setName(name);
    target.insert(global, kernel->getIterator());
  }
}

} // namespace

LogicalResult emitTiledLoops(func::FuncOp kernel,
                             const TiledLoopsOptions &options,
                             PipelineRunner runPipeline,
                             TiledLoopsShellMaker makeShell) {
  FailureOr<int64_t> tile = getParameter(kernel, "tile");
  if (failed(tile))
    return failure();
  if (*tile <= 0)
    return kernel.emitError() << "expected a positive 'tile', found " << *tile;

  // Work on a copy in a module of its own: bufferization is done by modules.
  OpBuilder builder(kernel);
  auto module = ModuleOp::create(builder, kernel.getLoc());
  auto dropModule = llvm::scope_exit([&] { module.erase(); });
  builder.setInsertionPointToEnd(module.getBody());
  auto copy = cast<func::FuncOp>(builder.clone(*kernel));

  FailureOr<Root> root = prepare(copy, options.exact);
  if (failed(root))
    return failure();
  if (root->loop >= 0) {
    auto loop = dyn_cast<scf::ForOp>(root->op);
    if (failed(loop ? fuseIntoLoop(loop) : tileRoot(copy, *root, *tile)))
      return failure();
  }
  if (failed(bufferize(module, copy, runPipeline)) ||
      failed(dropResults(copy)) ||
      failed(placeTemporaries(copy, options.temporaryBytes)) ||
      failed(lowerToLoops(copy)))
    return failure();
  if (!options.exact)
    relaxArithmetic(copy);
  moveGlobals(module, kernel);

  FailureOr<TiledLoopsShell> shell = makeShell();
  if (failed(shell) || failed(fillShell(*shell, copy)))
    return failure();
  kernel.erase();
  return success();
}

} // namespace coppice
