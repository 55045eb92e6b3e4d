// Rules, folds and canonical forms of plans, projections and routes.
// (prune.gemm: PruneGemm.cpp.)
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/TypeUtilities.h"

#include <cmath>

using namespace mlir;
using namespace coppice::prune;

#include "coppice/Dialect/Prune/IR/PruneOpInterfaces.cpp.inc"

// With its `#prune.set` prefix, so that an alias may stand for a long set.
static ParseResult parseFullSet(OpAsmParser &parser, SetAttr &set) {
  return parser.parseAttribute(set);
}
static void printFullSet(OpAsmPrinter &printer, Operation *, SetAttr set) {
  printer << set;
}

// `2 of 4`, without the brackets that it has as an attribute.
static ParseResult parseRatio(OpAsmParser &parser, NMAttr &pattern) {
  SMLoc loc = parser.getCurrentLocation();
  int64_t kept, of;
  if (parser.parseInteger(kept) || parser.parseKeyword("of") ||
      parser.parseInteger(of))
    return failure();
  pattern = NMAttr::getChecked([&] { return parser.emitError(loc); },
                               parser.getContext(), kept, of);
  return success(pattern != nullptr);
}
static void printRatio(OpAsmPrinter &printer, Operation *, NMAttr pattern) {
  printer << pattern.getKept() << " of " << pattern.getOf();
}

// `axis` `(` (`M` `)` | (`N` | `K`) `)` `groups` `of` size)
static ParseResult parseRouteAxis(OpAsmParser &parser, IntegerAttr &groupSize,
                                  UnitAttr &reduction) {
  StringRef axis;
  if (parser.parseKeyword("axis") || parser.parseLParen())
    return failure();
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&axis) || parser.parseRParen())
    return failure();
  if (axis == "M")
    return success();
  if (axis != "N" && axis != "K")
    return parser.emitError(loc)
           << "expected the axis 'M', 'N' or 'K', found '" << axis << "'";
  if (axis == "K")
    reduction = parser.getBuilder().getUnitAttr();
  return failure(
      parser.parseKeyword("groups") || parser.parseKeyword("of") ||
      parser.parseAttribute(groupSize, parser.getBuilder().getI64Type()));
}
static void printRouteAxis(OpAsmPrinter &printer, Operation *,
                           IntegerAttr groupSize, UnitAttr reduction) {
  printer << "axis(" << (reduction ? "K" : groupSize ? "N" : "M") << ")";
  if (groupSize)
    printer << " groups of " << groupSize.getInt();
}

#define GET_OP_CLASSES
#include "coppice/Dialect/Prune/IR/PruneOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Plans
//===----------------------------------------------------------------------===//

void PlanOp::build(OpBuilder &builder, OperationState &state, StringRef name) {
  state.addAttribute(getSymNameAttrName(state.name),
                     builder.getStringAttr(name));
  state.addRegion()->emplaceBlock();
}

LogicalResult PlanOp::verifyRegions() {
  for (Operation &op : getBody().front())
    if (!isa<DecisionOpInterface>(op))
      return (op.emitOpError() << "is not a pruning decision")
                 .attachNote(getLoc())
             << "in this plan";
  return success();
}

LogicalResult KeepOp::verify() {
  if (auto set = dyn_cast<SetAttr>(getSet()); set && set.getGranule() != 1)
    return emitOpError() << "expected a set of "
                         << stringifyDimension(getDimension())
                         << " with a granule of 1, found one of "
                         << set.getGranule();
  return success();
}

LogicalResult FactorOp::verify() {
  if (!getRank() && !getFile())
    return emitOpError() << "expected 'rank = R' or 'from' a file of factors";
  if (getRank() && static_cast<int64_t>(*getRank()) < 1)
    return emitOpError() << "expected a rank of at least 1, found "
                         << static_cast<int64_t>(*getRank());
  if (auto set = dyn_cast_or_null<SetAttr>(getRetainAttr());
      set && set.getGranule() != 1)
    return emitOpError() << "expected a set of rows with a granule of 1, "
                            "found one of "
                         << set.getGranule();
  return success();
}

LogicalResult MaskOp::verify() {
  if (!getSparsity() == !getFile())
    return emitOpError() << "expected either 'sparsity = S' or 'from' a file "
                            "of masks";
  if (double s = getSparsity() ? getSparsity()->convertToDouble() : 0;
      !(s >= 0 && s < 1))
    return emitOpError() << "expected a sparsity from 0 to below 1, found "
                         << s;
  return success();
}

static LogicalResult verifyShare(Operation *op, StringRef what,
                                 const llvm::APFloat &share) {
  if (double value = share.convertToDouble(); !(value >= 0 && value <= 1))
    return op->emitOpError()
           << "expected " << what << " from 0 to 1, found " << value;
  return success();
}

LogicalResult RouteOp::verify() {
  auto requirePositive = [&](StringRef what,
                             std::optional<uint64_t> size) -> LogicalResult {
    if (!size || static_cast<int64_t>(*size) >= 1)
      return success();
    return emitOpError() << "expected " << what << " of at least 1, found "
                         << static_cast<int64_t>(*size);
  };
  if (failed(requirePositive("groups", getGroupSize())) ||
      failed(requirePositive("a width between the products of a forecast",
                             getForecast())))
    return failure();
  auto requireShare = [&](StringRef name,
                          std::optional<APFloat> share) -> LogicalResult {
    double value = share ? share->convertToDouble() : 0.5;
    if (value > 0 && value < 1)
      return success();
    return emitOpError() << "expected a " << name << " between 0 and 1, found "
                         << value;
  };
  if (failed(requireShare("threshold", getThreshold())) ||
      failed(requireShare("top", getTop())))
    return failure();
  if (getThreshold() && getTop())
    return emitOpError("expected either a threshold or a top, found both");
  if (getReduction() && !getGroupSize())
    return emitOpError("expected 'groups of' a size with axis(K)");
  if (getGroupSize() && (getScaled() || getForecast()))
    return emitOpError()
           << "expected 'scaled' and 'forecast' with axis(M) "
              "only, found it with groups: of a row that computes some "
              "groups, neither is defined";
  return verifyShare(*this, "an expected share of rows", getExpected());
}

LogicalResult ActivationsOp::verify() {
  if (double least = getThreshold().convertToDouble();
      !(least > 0 && std::isfinite(least)))
    return emitOpError() << "expected a threshold above 0, found " << least;
  return verifyShare(*this, "an expected share of values", getExpected());
}

//===----------------------------------------------------------------------===//
// Routes
//===----------------------------------------------------------------------===//

LogicalResult DecideOp::verify() {
  RankedTensorType scores = getScores().getType(),
                   forced = getForced().getType(), mask = getMask().getType();
  int64_t groups = mask.getDimSize(1),
          column = static_cast<int64_t>(getColumn());
  if (scores.getDimSize(1) != 2 * groups)
    return emitOpError() << "expected two scores for each of " << groups
                         << " columns of the mask, found " << scores;
  if (forced.isDynamicDim(1) || column < 0 ||
      column + groups > forced.getDimSize(1))
    return emitOpError() << "expected columns " << column << " to "
                         << column + groups << " of what is forced, found "
                         << forced;
  if (failed(verifyCompatibleDims(
          {scores.getDimSize(0), mask.getDimSize(0), forced.getDimSize(0)})))
    return emitOpError() << "expected as many rows of scores, mask and what is "
                            "forced, found "
                         << scores << ", " << mask << " and " << forced;
  if (bool(getTop()) != bool(getSlots()))
    return emitOpError("expected the slots of the rows with 'top', and without "
                       "it none");
  if (getTop() && failed(verifyShare(*this, "a top share", *getTop())))
    return failure();
  if (!getMargin().isFinite())
    return emitOpError("expected a finite margin");
  return verifyShare(*this, "an expected share of rows", getExpected());
}

LogicalResult ProjectByOp::verify() {
  RankedTensorType input = getInput().getType(), mask = getMask().getType();
  int64_t groups = mask.getDimSize(1), width = input.getDimSize(1);
  if (getGroupSize()) {
    int64_t size = static_cast<int64_t>(*getGroupSize());
    if (getInto() || getPassed())
      return emitOpError() << "expected neither 'into' nor 'passed' of groups "
                              "of columns, found one";
    if (SetAttr among = getAmongAttr()) {
      if (among.getExtent() != width)
        return emitOpError() << "expected a set of the " << width
                             << " columns of the input, found " << among;
      width = among.getKeptExtent();
    }
    if (size < 1 || ShapedType::isDynamic(width) ||
        static_cast<int64_t>(llvm::divideCeil(width, size)) != groups)
      return emitOpError() << "expected a mask of a column for each group of "
                           << size << " of " << width << " columns, found "
                           << mask;
  } else if (groups != 1 || getAmongAttr()) {
    return emitOpError() << "expected a mask of one column and no 'among' "
                            "without 'groups of', found "
                         << mask;
  }
  if (failed(verifyCompatibleDims({input.getDimSize(0), mask.getDimSize(0)})))
    return emitOpError() << "expected a mask of as many rows as the input, "
                            "found "
                         << mask << " and " << input;
  if (getInto() && getInto().getType() != input)
    return emitOpError() << "expected an 'into' of the input's type " << input
                         << ", found " << getInto().getType();
  return success();
}

LogicalResult CompactOp::verify() {
  RankedTensorType mask = getMask().getType();
  auto list = cast<RankedTensorType>(getList().getType()),
       count = cast<RankedTensorType>(getCount().getType());
  if (count.getRank() + 1 != list.getRank())
    return emitOpError() << "expected a count for each list, found " << count
                         << " for " << list;
  if (int64_t groups = list.getRank() == 1 ? 1 : list.getDimSize(0);
      groups != mask.getDimSize(1) ||
      (list.getRank() == 2 && count.getDimSize(0) != groups))
    return emitOpError() << "expected a list and a count for each of the "
                         << mask.getDimSize(1) << " groups of the mask, found "
                         << list << " and " << count;
  if (list.getShape().back() != mask.getDimSize(0))
    return emitOpError() << "expected a list with room for all rows of the "
                            "mask, found "
                         << list << " for " << mask;
  return success();
}

//===----------------------------------------------------------------------===//
// Replacements
//===----------------------------------------------------------------------===//

LogicalResult ReplaceOp::verify() {
  auto weight = cast<RankedTensorType>(getWeight().getType());
  int64_t n = weight.getDimSize(0), k = weight.getDimSize(1);
  auto requireShape = [&](StringRef what, Value found, int64_t rows,
                          int64_t columns) -> LogicalResult {
    auto type = cast<RankedTensorType>(found.getType());
    auto expected =
        RankedTensorType::get({rows, columns}, weight.getElementType());
    if (type == expected)
      return success();
    return emitOpError() << "expected " << what << " of type " << expected
                         << ", found " << type;
  };
  if (!weight.hasStaticShape())
    return emitOpError() << "expected a weight of static shape, found "
                         << weight;
  for (Operation *user : getResult().getUsers())
    if (auto gemm = dyn_cast<GemmOp>(user);
        !gemm || gemm.getInput() == getResult() ||
        llvm::is_contained(gemm.getExtras(), getResult()))
      return (emitOpError() << "expected to be the weight of 'prune.gemm'")
                 .attachNote(user->getLoc())
             << "is read by this op";
  if (!isFactored()) {
    if (getBy().size() != 1)
      return emitOpError() << "expected one weight or two factors, found "
                           << getBy().size();
    if (getRetainAttr())
      return emitOpError() << "expected no 'retain' without factors";
    if (getPatternAttr() && (getSparsityAttr() || getMaskAttr()))
      return emitOpError() << "expected zeros in a pattern or anywhere, found "
                              "both";
    return requireShape("a weight", getBy()[0], n, k);
  }
  if (getPatternAttr() || getSparsityAttr() || getMaskAttr())
    return emitOpError()
           << "expected no pattern, sparsity or mask of a pair of "
              "factors";
  int64_t rank = cast<RankedTensorType>(getU().getType()).getDimSize(1);
  int64_t retained = 0;
  if (SetAttr set = getRetainAttr()) {
    if (set.getExtent() != n)
      return emitOpError() << "expected a set of the " << n
                           << " rows of the weight, found one of "
                           << set.getExtent();
    retained = set.getKeptExtent();
    if (retained == 0 || retained == n)
      return emitOpError() << "expected some of the " << n
                           << " rows to be retained and some not, found "
                           << retained;
  }
  if (failed(requireShape("a left factor", getU(), n - retained, rank)))
    return failure();
  return requireShape("a right factor", getV(), rank, k);
}

//===----------------------------------------------------------------------===//
// Projections
//===----------------------------------------------------------------------===//

/// Does `set` describe the axis of the dense type?
static LogicalResult verifyAxis(Operation *op, RankedTensorType dense,
                                int64_t axis, SetAttr set) {
  if (axis < 0 || axis >= dense.getRank())
    return op->emitOpError() << "expected an axis below the rank "
                             << dense.getRank() << ", found " << axis;
  if (set.hasDynamicCount() || dense.isDynamicDim(axis) ||
      dense.getDimSize(axis) == set.getExtent())
    return success();
  return op->emitOpError() << "expected a set of the " << dense.getDimSize(axis)
                           << " indices of axis " << axis << ", found one of "
                           << set.getExtent();
}

/// `dense` with its axis replaced by what is kept.
static RankedTensorType restrictType(RankedTensorType dense, int64_t axis,
                                     SetAttr set) {
  SmallVector<int64_t> shape(dense.getShape());
  shape[axis] = set.getKeptExtent();
  return RankedTensorType::get(shape, dense.getElementType(),
                               dense.getEncoding());
}

LogicalResult ProjectOp::verify() {
  return verifyAxis(*this, cast<RankedTensorType>(getInput().getType()),
                    getAxis(), getKeep());
}

OpFoldResult ProjectOp::fold(FoldAdaptor) {
  // P of the full set is 1.
  if (getKeep().isFull())
    return getInput();
  return {};
}

namespace {
/// P_k P_l = P_(k and l) along one axis.
struct MergeProjects : OpRewritePattern<ProjectOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ProjectOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<ProjectOp>();
    if (!inner || inner.getAxis() != op.getAxis())
      return rewriter.notifyMatchFailure(
          op, "no projection of the same axis below");
    rewriter.replaceOpWithNewOp<ProjectOp>(
        op, op.getType(), op.getSite(), inner.getInput(), op.getAxis(),
        op.getKeep().intersect(inner.getKeep()));
    return success();
  }
};

/// S_k S_l = S_(l composed with k) along one axis, where nobody else reads what
/// S_l gives: else what it restricts would be restricted in two ways, and
/// neither could move up.
struct MergeRestricts : OpRewritePattern<RestrictOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RestrictOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<RestrictOp>();
    if (!inner || inner.getAxis() != op.getAxis())
      return rewriter.notifyMatchFailure(
          op, "no restriction of the same axis below");
    if (!inner->hasOneUse())
      return rewriter.notifyMatchFailure(
          op, "the restriction below has other users");
    rewriter.replaceOpWithNewOp<RestrictOp>(
        op, op.getType(), inner.getInput(), op.getAxis(),
        inner.getKeep().compose(op.getKeep()));
    return success();
  }
};

/// S_k E_l: with m = k and l, E_(m in k) S_(m in l), an index map.
struct RestrictOfExtend : OpRewritePattern<RestrictOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RestrictOp op,
                                PatternRewriter &rewriter) const override {
    auto extend = op.getInput().getDefiningOp<ExtendOp>();
    if (!extend || extend.getAxis() != op.getAxis())
      return rewriter.notifyMatchFailure(op,
                                         "no extension of the same axis below");
    if (extend.getKeep().hasDynamicCount() || op.getKeep().hasDynamicCount())
      return rewriter.notifyMatchFailure(
          op, "a set without a count has no index map");
    SetAttr both = op.getKeep().intersect(extend.getKeep());
    Value source = rewriter.createOrFold<RestrictOp>(
        op.getLoc(), extend.getInput(), op.getAxis(),
        both.positionsIn(extend.getKeep()));
    rewriter.replaceOp(
        op, rewriter.createOrFold<ExtendOp>(op.getLoc(), source, op.getAxis(),
                                            both.positionsIn(op.getKeep())));
    return success();
  }
};
} // namespace

void ProjectOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                            MLIRContext *context) {
  patterns.add<MergeProjects>(context);
}

void RestrictOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                             MLIRContext *context) {
  patterns.add<MergeRestricts, RestrictOfExtend>(context);
}

LogicalResult
ProjectOp::reifyResultShapes(OpBuilder &builder,
                             ReifiedRankedShapedTypeDims &shapes) {
  shapes.push_back(tensor::getMixedSizes(builder, getLoc(), getInput()));
  return success();
}

LogicalResult RestrictOp::inferReturnTypes(MLIRContext *,
                                           std::optional<Location> loc,
                                           Adaptor adaptor,
                                           SmallVectorImpl<Type> &types) {
  auto dense = cast<RankedTensorType>(adaptor.getInput().getType());
  int64_t axis = adaptor.getAxis();
  if (axis < 0 || axis >= dense.getRank())
    return emitOptionalError(loc, "expected an axis below the rank ",
                             dense.getRank(), ", found ", axis);
  types.push_back(restrictType(dense, axis, adaptor.getKeep()));
  return success();
}

LogicalResult RestrictOp::verify() {
  return verifyAxis(*this, cast<RankedTensorType>(getInput().getType()),
                    getAxis(), getKeep());
}

OpFoldResult RestrictOp::fold(FoldAdaptor) {
  // S of the full set is 1.
  if (getKeep().isFull() && getInput().getType() == getType())
    return getInput();
  // S E = 1, for the same set.
  auto extend = getInput().getDefiningOp<ExtendOp>();
  if (extend && extend.getAxis() == getAxis() &&
      extend.getKeep().keepsSameAs(getKeep()) &&
      extend.getInput().getType() == getType())
    return extend.getInput();
  return {};
}

LogicalResult
RestrictOp::reifyResultShapes(OpBuilder &builder,
                              ReifiedRankedShapedTypeDims &shapes) {
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(builder, getLoc(), getInput());
  sizes[getAxis()] = builder.getIndexAttr(getKeep().getKeptExtent());
  shapes.push_back(std::move(sizes));
  return success();
}

void ExtendOp::build(OpBuilder &, OperationState &state, Value input,
                     int64_t axis, SetAttr keep) {
  auto narrow = cast<RankedTensorType>(input.getType());
  SmallVector<int64_t> shape(narrow.getShape());
  shape[axis] = keep.getExtent();
  auto dense = RankedTensorType::get(shape, narrow.getElementType(),
                                     narrow.getEncoding());
  OpBuilder builder(state.getContext());
  build(builder, state, dense, input, builder.getI64IntegerAttr(axis), keep,
        Value());
}

LogicalResult ExtendOp::verify() {
  auto dense = cast<RankedTensorType>(getType());
  if (failed(verifyAxis(*this, dense, getAxis(), getKeep())))
    return failure();
  auto narrow = cast<RankedTensorType>(getInput().getType());
  if (RankedTensorType expected = restrictType(dense, getAxis(), getKeep());
      narrow != expected)
    return emitOpError() << "expected an input of type " << expected
                         << ", found " << narrow;
  bool needsExtent =
      getKeep().hasDynamicCount() && dense.isDynamicDim(getAxis());
  if (needsExtent && !getExtent())
    return emitOpError() << "expected an extent, since neither the set nor the "
                            "result's type has one";
  if (!needsExtent && getExtent())
    return emitOpError()
           << "expected no extent, since the set or the result's type has one";
  if (!needsExtent && dense.isDynamicDim(getAxis()))
    return emitOpError() << "expected a result of " << getKeep().getExtent()
                         << " indices along axis " << getAxis()
                         << ", found a dynamic extent";
  return success();
}

OpFoldResult ExtendOp::fold(FoldAdaptor) {
  // E of the full set is 1.
  if (getKeep().isFull() && getInput().getType() == getType())
    return getInput();
  // E of the empty set is zero; a constant only where the shape is one.
  auto dense = cast<RankedTensorType>(getType());
  if (getKeep().isEmpty() && dense.hasStaticShape())
    if (TypedAttr zero =
            Builder(getContext()).getZeroAttr(dense.getElementType()))
      return DenseElementsAttr::get(dense, zero);
  return {};
}

LogicalResult ExtendOp::reifyResultShapes(OpBuilder &builder,
                                          ReifiedRankedShapedTypeDims &shapes) {
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(builder, getLoc(), getInput());
  auto dense = cast<RankedTensorType>(getType());
  if (getExtent())
    sizes[getAxis()] = getExtent();
  else
    sizes[getAxis()] = builder.getIndexAttr(dense.getDimSize(getAxis()));
  shapes.push_back(std::move(sizes));
  return success();
}

LogicalResult GatherOp::verify() {
  auto input = cast<RankedTensorType>(getInput().getType()),
       result = cast<RankedTensorType>(getType()),
       columns = cast<RankedTensorType>(getColumns().getType());
  auto expected = RankedTensorType::get(
      {input.getDimSize(0), columns.getDimSize(0)}, input.getElementType());
  if (input.isDynamicDim(1) || input.getDimSize(1) < 1 ||
      columns.isDynamicDim(0))
    return emitOpError() << "expected an input of static width and a table of "
                            "static length, found "
                         << input << " and " << columns;
  if (result != expected)
    return emitOpError() << "expected a result of type " << expected
                         << ", found " << result;
  return success();
}
