// Rules, folds and canonical forms of plans, projections and prune.gemm.
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/PatternMatch.h"

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
  return verifyShare(*this, "an expected share of rows", getExpected());
}

//===----------------------------------------------------------------------===//
// Routes
//===----------------------------------------------------------------------===//

/// Are two extents the same, as far as is known?
static bool mayEqual(int64_t a, int64_t b) {
  return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) || a == b;
}

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
  if (!mayEqual(scores.getDimSize(0), mask.getDimSize(0)) ||
      !mayEqual(forced.getDimSize(0), mask.getDimSize(0)))
    return emitOpError() << "expected as many rows of scores, mask and what is "
                            "forced, found "
                         << scores << ", " << mask << " and " << forced;
  return verifyShare(*this, "an expected share of rows", getExpected());
}

LogicalResult ProjectByOp::verify() {
  RankedTensorType input = getInput().getType(), mask = getMask().getType();
  int64_t groups = mask.getDimSize(1);
  if (input.isDynamicDim(1) || input.getDimSize(1) % groups != 0)
    return emitOpError() << "expected a width that is " << groups
                         << " equal groups of columns, found " << input;
  if (!mayEqual(input.getDimSize(0), mask.getDimSize(0)))
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
  if (mask.getDimSize(1) != 1)
    return emitOpError() << "expected a mask of one group, found " << mask;
  if (int64_t length = getList().getType().getDimSize(0);
      length != mask.getDimSize(0))
    return emitOpError() << "expected a list with room for all rows of the "
                            "mask, found "
                         << getList().getType() << " for " << mask;
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

//===----------------------------------------------------------------------===//
// GEMM
//===----------------------------------------------------------------------===//

void GemmOp::build(OpBuilder &builder, OperationState &state, Type result,
                   StringRef site, Value input, Value weight) {
  state.addOperands({input, weight});
  state.addAttribute(getSiteAttrName(state.name), builder.getStringAttr(site));
  state.getOrAddProperties<Properties>().operandSegmentSizes = {1, 1, 0, 0, 0,
                                                                0, 0, 0, 0, 0};
  state.addRegion();
  state.addTypes(result);
}

Block *GemmOp::addEpilogue(OpBuilder &builder, ValueRange extras) {
  assert(!hasEpilogue() && "has an epilogue already");
  OpBuilder::InsertionGuard guard(builder);
  getExtrasMutable().assign(extras);
  Block *block = builder.createBlock(&getEpilogue());
  block->addArgument(getSumType(), getLoc());
  for (Value extra : extras)
    block->addArgument(cast<ShapedType>(extra.getType()).getElementType(),
                       extra.getLoc());
  return block;
}

namespace {
/// A set on its way from text to operands.
struct ParsedSet {
  SmallVector<OpAsmParser::UnresolvedOperand, 2> operands; // list and count
  SmallVector<Type, 2> types;

  /// `(` %list `,` %count `:` type of the list `)`
  ParseResult parse(OpAsmParser &parser) {
    Type list;
    if (parser.parseLParen() || parser.parseOperand(operands.emplace_back()) ||
        parser.parseComma() || parser.parseOperand(operands.emplace_back()) ||
        parser.parseColonType(list) || parser.parseRParen())
      return failure();
    types = {list, RankedTensorType::get({}, parser.getBuilder().getI32Type())};
    return success();
  }
};

/// (KEYWORD `of` size set)?
ParseResult parseSizedSet(OpAsmParser &parser, StringRef keyword,
                          IntegerAttr &size, ParsedSet &set) {
  if (failed(parser.parseOptionalKeyword(keyword)))
    return success();
  return failure(
      parser.parseKeyword("of") ||
      parser.parseAttribute(size, parser.getBuilder().getI64Type()) ||
      set.parse(parser));
}

void printSet(OpAsmPrinter &printer, Value list, Value count) {
  printer << "(" << list << ", " << count << " : " << list.getType() << ")";
}
} // namespace

// $site $input `,` $weight
// (`rows` $row_sides set)? (`panels` `of` $panel_size set)?
// (`groups` `of` $group_size set)? (`into` $into)? (`value` $value)?
// (`pattern` $pattern)? attr-dict
ParseResult GemmOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr site, value;
  OpAsmParser::UnresolvedOperand input, weight;
  SmallVector<OpAsmParser::UnresolvedOperand, 1> into;
  ParsedSet rows, panels, groups;
  Type inputType, weightType, resultType;
  auto &properties = result.getOrAddProperties<Properties>();
  if (parser.parseAttribute(site, getSiteAttrName(result.name),
                            result.attributes) ||
      parser.parseOperand(input) || parser.parseComma() ||
      parser.parseOperand(weight))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("rows"))) {
    StringRef keyword;
    SMLoc at = parser.getCurrentLocation();
    if (parser.parseKeyword(&keyword))
      return failure();
    std::optional<RowSides> sides = symbolizeRowSides(keyword);
    if (!sides)
      return parser.emitError(at)
             << "expected 'gather', 'scatter' or 'both', found '" << keyword
             << "'";
    properties.row_sides = RowSidesAttr::get(parser.getContext(), *sides);
    if (rows.parse(parser))
      return failure();
  }
  if (parseSizedSet(parser, "panels", properties.panel_size, panels) ||
      parseSizedSet(parser, "groups", properties.group_size, groups))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("into")) &&
      parser.parseOperand(into.emplace_back()))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("value"))) {
    // Not as an attribute, which would take the colon behind it as its own.
    std::string name;
    if (parser.parseString(&name))
      return failure();
    value = parser.getBuilder().getStringAttr(name);
    result.addAttribute(getValueAttrName(result.name), value);
  }
  if (succeeded(parser.parseOptionalKeyword("pattern")) &&
      parser.parseCustomAttributeWithFallback(properties.pattern))
    return failure();
  if (parser.parseOptionalAttrDict(result.attributes))
    return failure();

  Region *epilogue = result.addRegion();
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<OpAsmParser::UnresolvedOperand> extras;
  SmallVector<Type> extraTypes;
  SMLoc extrasLoc = parser.getCurrentLocation();
  if (succeeded(parser.parseOptionalKeyword("epilogue"))) {
    auto parseArgument = [&]() -> ParseResult {
      bool isAccumulator = arguments.empty();
      if (parser.parseArgument(arguments.emplace_back(), /*allowType=*/true))
        return failure();
      if (isAccumulator)
        return success();
      return failure(parser.parseEqual() ||
                     parser.parseOperand(extras.emplace_back()) ||
                     parser.parseColonType(extraTypes.emplace_back()));
    };
    if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren,
                                       parseArgument) ||
        parser.parseRegion(*epilogue, arguments))
      return failure();
  }
  if (parser.parseColonType(inputType) || parser.parseComma() ||
      parser.parseType(weightType) || parser.parseArrow() ||
      parser.parseType(resultType) ||
      parser.resolveOperand(input, inputType, result.operands) ||
      parser.resolveOperand(weight, weightType, result.operands) ||
      parser.resolveOperands(extras, extraTypes, extrasLoc, result.operands))
    return failure();
  for (const ParsedSet *set : {&rows, &panels, &groups})
    if (parser.resolveOperands(set->operands, set->types, extrasLoc,
                               result.operands))
      return failure();
  if (!into.empty() &&
      parser.resolveOperand(into.front(), resultType, result.operands))
    return failure();
  auto has = [](const ParsedSet &set) { return set.operands.empty() ? 0 : 1; };
  properties.operandSegmentSizes = {1,
                                    1,
                                    static_cast<int32_t>(extras.size()),
                                    has(rows),
                                    has(rows),
                                    has(panels),
                                    has(panels),
                                    has(groups),
                                    has(groups),
                                    into.empty() ? 0 : 1};
  result.addTypes(resultType);
  return success();
}

void GemmOp::print(OpAsmPrinter &printer) {
  printer << " " << getSiteAttr() << " " << getInput() << ", " << getWeight();
  if (getRows()) {
    printer << " rows " << stringifyRowSides(*getRowSides());
    printSet(printer, getRows(), getRowCount());
  }
  if (getPanels()) {
    printer << " panels of " << *getPanelSize();
    printSet(printer, getPanels(), getPanelCount());
  }
  if (getGroups()) {
    printer << " groups of " << *getGroupSize();
    printSet(printer, getGroups(), getGroupCount());
  }
  if (getInto())
    printer << " into " << getInto();
  if (StringAttr value = getValueAttr())
    printer << " value " << value;
  if (NMAttr pattern = getPatternAttr()) {
    printer << " pattern ";
    printer.printStrippedAttrOrType(pattern);
  }
  printer.printOptionalAttrDict((*this)->getAttrs(),
                                {getSiteAttrName(), getValueAttrName(),
                                 getRowSidesAttrName(), getPanelSizeAttrName(),
                                 getGroupSizeAttrName(), getPatternAttrName(),
                                 getOperandSegmentSizesAttrName()});
  if (hasEpilogue()) {
    Block &block = getEpilogue().front();
    printer << " epilogue(";
    for (BlockArgument argument : block.getArguments()) {
      if (argument.getArgNumber() > 0)
        printer << ", ";
      printer.printRegionArgument(argument);
      if (argument.getArgNumber() > 0) {
        Value extra = getExtras()[argument.getArgNumber() - 1];
        printer << " = " << extra << " : " << extra.getType();
      }
    }
    printer << ") ";
    printer.printRegion(getEpilogue(), /*printEntryBlockArgs=*/false);
  }
  printer << " : " << getInput().getType() << ", " << getWeight().getType()
          << " -> " << getType();
}

Type GemmOp::getSumType() {
  Type element = getType().getElementType();
  return element.getIntOrFloatBitWidth() < 32 ? Float32Type::get(getContext())
                                              : element;
}

/// A set has its list, its count and what it counts, or none of these, and the
/// list is no longer than the dimension.
static LogicalResult verifySet(GemmOp op, StringRef name, Value list,
                               Value count, Attribute what, int64_t extent) {
  if (bool(list) != bool(count) || bool(list) != bool(what))
    return op.emitOpError() << "expected a list, a count and "
                            << (name == "rows" ? "sides" : "a size")
                            << " of a set of " << name << ", or none of them";
  auto size = dyn_cast_or_null<IntegerAttr>(what);
  if (isa_and_nonnull<RowSidesAttr>(what))
    size = {};
  if (size && size.getInt() < 1)
    return op.emitOpError()
           << "expected " << name << " of at least 1, found " << size.getInt();
  if (!list || ShapedType::isDynamic(extent))
    return success();
  int64_t most = size ? llvm::divideCeil(extent, size.getInt()) : extent;
  int64_t length = cast<RankedTensorType>(list.getType()).getDimSize(0);
  if (ShapedType::isDynamic(length) || length <= most)
    return success();
  return op.emitOpError() << "expected a list of at most the " << most << " "
                          << name << " that there are, found one of " << length;
}

/// Do the sets fit the operands, and is there an `into` where it is needed?
static LogicalResult verifySets(GemmOp op) {
  int64_t m = op.getInput().getType().getDimSize(0),
          n = op.getWeight().getType().getDimSize(0),
          k = op.getWeight().getType().getDimSize(1);
  auto result = cast<RankedTensorType>(op.getType());
  bool isScattered = op.getRowSides() == RowSides::Scatter;
  if (failed(verifySet(op, "rows", op.getRows(), op.getRowCount(),
                       op.getRowSidesAttr(),
                       isScattered ? result.getDimSize(0) : m)) ||
      failed(verifySet(op, "panels", op.getPanels(), op.getPanelCount(),
                       op.getPanelSizeAttr(), n)) ||
      failed(verifySet(op, "groups", op.getGroups(), op.getGroupCount(),
                       op.getGroupSizeAttr(), k)))
    return failure();

  bool needsInto = op.getRows() || op.getPanels();
  if (needsInto != bool(op.getInto()))
    return op.emitOpError()
           << (needsInto ? "expected an 'into' for what the sets leave out, "
                           "found none"
                         : "expected no 'into' without a set of rows or "
                           "panels, found one");
  if (needsInto && op.getInto().getType() != result)
    return op.emitOpError() << "expected an 'into' of the result's type "
                            << result << ", found " << op.getInto().getType();
  if (!op.getRows())
    return success();

  int64_t length = op.getRows().getType().getDimSize(0);
  auto requireRows = [&](StringRef what, int64_t found, StringRef like,
                         int64_t expected) -> LogicalResult {
    if (mayEqual(expected, found))
      return success();
    return op.emitOpError()
           << "expected " << expected << " rows (M) of the " << what
           << ", as many as " << like << ", found " << found;
  };
  switch (*op.getRowSides()) {
  case RowSides::Gather:
    return requireRows("result", result.getDimSize(0), "the list of rows has",
                       length);
  case RowSides::Scatter:
    return requireRows("input", m, "the list of rows has", length);
  case RowSides::Both:
    return requireRows("result", result.getDimSize(0), "of the input", m);
  }
  llvm_unreachable("all sides are handled");
}

LogicalResult GemmOp::verify() {
  auto input = cast<RankedTensorType>(getInput().getType()),
       weight = cast<RankedTensorType>(getWeight().getType());
  auto result = cast<RankedTensorType>(getType());
  auto requireExtent = [&](StringRef what, StringRef of, int64_t expected,
                           int64_t found) -> LogicalResult {
    if (mayEqual(expected, found))
      return success();
    return emitOpError() << "expected " << expected << " " << what << " of the "
                         << of << ", found " << found;
  };
  if (failed(requireExtent("columns (K)", "weight, as many as of the input",
                           input.getDimSize(1), weight.getDimSize(1))) ||
      failed(requireExtent("columns (N)",
                           "result, as many as rows of the weight",
                           weight.getDimSize(0), result.getDimSize(1))) ||
      failed(verifySets(*this)))
    return failure();
  if (!getRows() &&
      failed(requireExtent("rows (M)", "result, as many as of the input",
                           input.getDimSize(0), result.getDimSize(0))))
    return failure();
  for (auto [index, extra] : llvm::enumerate(getExtras())) {
    auto type = cast<RankedTensorType>(extra.getType());
    bool isVector = type.getRank() == 1 &&
                    mayEqual(type.getDimSize(0), result.getDimSize(1));
    bool isLikeResult = type.getRank() == 2 &&
                        mayEqual(type.getDimSize(0), result.getDimSize(0)) &&
                        mayEqual(type.getDimSize(1), result.getDimSize(1));
    if (!isVector && !isLikeResult)
      return emitOpError() << "expected epilogue operand " << index
                           << " to have the result's shape or be a vector of "
                           << result.getDimSize(1) << ", found " << type;
  }
  return success();
}

LogicalResult GemmOp::verifyRegions() {
  if (!hasEpilogue()) {
    if (!getExtras().empty())
      return emitOpError()
             << "expected no further operands without an epilogue, found "
             << getExtras().size();
    return success();
  }
  Block &block = getEpilogue().front();
  Type element = cast<RankedTensorType>(getType()).getElementType();
  if (block.getNumArguments() != 1 + getExtras().size())
    return emitOpError() << "expected an epilogue of " << 1 + getExtras().size()
                         << " arguments (the accumulator and one for each "
                            "further operand), found "
                         << block.getNumArguments();
  if (block.getArgument(0).getType() != getSumType())
    return emitOpError() << "expected an accumulator of " << getSumType()
                         << ", found " << block.getArgument(0).getType();
  for (auto [index, extra] : llvm::enumerate(getExtras())) {
    Type expected = cast<ShapedType>(extra.getType()).getElementType(),
         found = block.getArgument(index + 1).getType();
    if (expected != found)
      return emitOpError() << "expected epilogue argument " << index + 1
                           << " to have its operand's element type " << expected
                           << ", found " << found;
  }
  for (Operation &op : block.without_terminator())
    if (!isPure(&op))
      return (emitOpError() << "expected only pure ops in the epilogue")
                 .attachNote(op.getLoc())
             << "found this one";
  auto yield = dyn_cast<YieldOp>(block.back());
  if (!yield)
    return emitOpError() << "expected an epilogue that ends with 'prune.yield'";
  if (yield.getValue().getType() != element)
    return yield.emitOpError()
           << "expected the result's element type " << element << ", found "
           << yield.getValue().getType();
  return success();
}

LogicalResult GemmOp::reifyResultShapes(OpBuilder &builder,
                                        ReifiedRankedShapedTypeDims &shapes) {
  Value rows = getInto() ? Value(getInto()) : Value(getInput());
  shapes.push_back({tensor::getMixedSize(builder, getLoc(), rows, 0),
                    tensor::getMixedSize(builder, getLoc(), getWeight(), 0)});
  return success();
}
