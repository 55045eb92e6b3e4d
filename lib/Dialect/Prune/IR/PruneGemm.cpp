// The text form and the rules of prune.gemm. What it means is in
// PruneDecompose.cpp.
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace coppice::prune;

/// Are two extents the same, as far as is known?
static bool mayEqual(int64_t a, int64_t b) {
  return succeeded(verifyCompatibleDims({a, b}));
}

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

  /// `(` %list `,` %count `:` type of the list `)`; a matrix is several lists.
  ParseResult parse(OpAsmParser &parser) {
    Type list;
    if (parser.parseLParen() || parser.parseOperand(operands.emplace_back()) ||
        parser.parseComma() || parser.parseOperand(operands.emplace_back()) ||
        parser.parseColonType(list) || parser.parseRParen())
      return failure();
    auto tensor = dyn_cast<RankedTensorType>(list);
    SmallVector<int64_t, 1> counts;
    if (tensor && tensor.getRank() == 2)
      counts.push_back(tensor.getDimSize(0));
    types = {list,
             RankedTensorType::get(counts, parser.getBuilder().getI32Type())};
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

/// (`per` (`panel` | `group`) `of` size)?
ParseResult parseLists(OpAsmParser &parser, IntegerAttr &panelSize,
                       IntegerAttr &groupSize) {
  if (failed(parser.parseOptionalKeyword("per")))
    return success();
  StringRef keyword;
  SMLoc at = parser.getCurrentLocation();
  if (parser.parseKeyword(&keyword))
    return failure();
  if (keyword != "panel" && keyword != "group")
    return parser.emitError(at)
           << "expected 'panel' or 'group', found '" << keyword << "'";
  return failure(
      parser.parseKeyword("of") ||
      parser.parseAttribute(keyword == "panel" ? panelSize : groupSize,
                            parser.getBuilder().getI64Type()));
}

void printSet(OpAsmPrinter &printer, Value list, Value count) {
  printer << "(" << list << ", " << count << " : " << list.getType() << ")";
}
} // namespace

// $site $input `,` $weight
// (`rows` $row_sides set (`per` (`panel` | `group`) `of` size)?)? (`panels`
// `of` $panel_size set)?
// (`groups` `of` $group_size set)? (`into` $into)? (`value` $value)?
// (`pattern` $pattern)? (`zeros` $input_zeros)? attr-dict
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
    if (rows.parse(parser) ||
        parseLists(parser, properties.panel_size, properties.group_size))
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
  if (succeeded(parser.parseOptionalKeyword("zeros"))) {
    // Not as an attribute, which would take the colon behind it as its own.
    double share;
    if (parser.parseFloat(share))
      return failure();
    properties.input_zeros = parser.getBuilder().getF64FloatAttr(share);
  }
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
  if (hasRowsPerPanel())
    printer << " per panel of " << *getPanelSize();
  if (hasRowsPerGroup())
    printer << " per group of " << *getGroupSize();
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
  if (FloatAttr zeros = getInputZerosAttr()) {
    printer << " zeros ";
    printer.printAttributeWithoutType(zeros);
  }
  printer.printOptionalAttrDict(
      (*this)->getAttrs(),
      {getSiteAttrName(), getValueAttrName(), getRowSidesAttrName(),
       getPanelSizeAttrName(), getGroupSizeAttrName(), getPatternAttrName(),
       getInputZerosAttrName(), getOperandSegmentSizesAttrName()});
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
  if (list && cast<RankedTensorType>(count.getType()).getRank())
    return op.emitOpError() << "expected one count of a set of " << name
                            << ", found " << count.getType();
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

/// A list of rows for each panel or group: as many as there are of those, and
/// no other set.
static LogicalResult verifyLists(GemmOp op) {
  auto list = cast<RankedTensorType>(op.getRows().getType());
  auto count = cast_or_null<RankedTensorType>(
      op.getRowCount() ? op.getRowCount().getType() : Type());
  if (op.getPanels() || op.getGroups() ||
      op.hasRowsPerPanel() == op.hasRowsPerGroup())
    return op.emitOpError() << "expected several lists of rows to be per panel "
                               "or per group, without another set";
  if (op.getRowSides() != RowSides::Both)
    return op.emitOpError() << "expected several lists of rows to be of both "
                               "sides, found "
                            << op.getRowSidesAttr();
  int64_t extent =
              op.getWeight().getType().getDimSize(op.hasRowsPerPanel() ? 0 : 1),
          size = static_cast<int64_t>(
              op.hasRowsPerPanel() ? *op.getPanelSize() : *op.getGroupSize());
  if (size < 1)
    return op.emitOpError()
           << "expected a size of at least 1 to a list of rows, found " << size;
  int64_t lists = list.getDimSize(0);
  if (ShapedType::isDynamic(lists) || ShapedType::isDynamic(extent) ||
      lists != int64_t(llvm::divideCeil(extent, size)))
    return op.emitOpError() << "expected a list of rows for each " << size
                            << " of " << extent << ", found " << list;
  if (!count || count.getRank() != 1 || count.getDimSize(0) != lists)
    return op.emitOpError() << "expected a count of each of " << lists
                            << " lists of rows, found " << count;
  if (!mayEqual(list.getDimSize(1), op.getInput().getType().getDimSize(0)))
    return op.emitOpError() << "expected lists with room for the rows of the "
                               "input, found "
                            << list;
  return success();
}

/// Do the sets fit the operands, and is there an `into` where it is needed?
static LogicalResult verifySets(GemmOp op) {
  int64_t m = op.getInput().getType().getDimSize(0),
          n = op.getWeight().getType().getDimSize(0),
          k = op.getWeight().getType().getDimSize(1);
  auto result = cast<RankedTensorType>(op.getType());
  bool isScattered = op.getRowSides() == RowSides::Scatter;
  bool hasLists =
      op.getRows() && cast<ShapedType>(op.getRows().getType()).getRank() == 2;
  if (hasLists) {
    if (failed(verifyLists(op)))
      return failure();
  } else if (failed(verifySet(op, "rows", op.getRows(), op.getRowCount(),
                              op.getRowSidesAttr(),
                              isScattered ? result.getDimSize(0) : m)) ||
             failed(verifySet(op, "panels", op.getPanels(), op.getPanelCount(),
                              op.getPanelSizeAttr(), n)) ||
             failed(verifySet(op, "groups", op.getGroups(), op.getGroupCount(),
                              op.getGroupSizeAttr(), k)))
    return failure();

  bool needsInto = op.leavesOut();
  if (needsInto != bool(op.getInto()))
    return op.emitOpError()
           << (needsInto ? "expected an 'into' for what the sets leave out, "
                           "found none"
                         : "expected no 'into' where sets leave nothing out, "
                           "found one");
  if (needsInto && op.getInto().getType() != result)
    return op.emitOpError() << "expected an 'into' of the result's type "
                            << result << ", found " << op.getInto().getType();
  if (!op.getRows())
    return success();

  int64_t length = cast<ShapedType>(op.getRows().getType()).getShape().back();
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
  if (auto zeros = getInputZeros(); zeros && !(zeros->convertToDouble() >= 0 &&
                                               zeros->convertToDouble() <= 1))
    return emitOpError() << "expected a share of zeros from 0 to 1, found "
                         << zeros->convertToDouble();
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
    bool isPerRow = type.getRank() == 2 && type.getDimSize(1) == 1 &&
                    mayEqual(type.getDimSize(0), result.getDimSize(0));
    if (!isVector && !isLikeResult && !isPerRow)
      return emitOpError() << "expected epilogue operand " << index
                           << " to have the result's shape, one column, or be "
                              "a vector of "
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
