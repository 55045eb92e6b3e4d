// Result types and verifiers of the decoder ops. What ODS says of one operand
// (rank, element type, static width) is in DecoderOps.td; here are the rules
// that relate operands and attributes.
#include "coppice/Dialect/Decoder/IR/Decoder.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace coppice::decoder;

Type coppice::decoder::detail::getIndexPerRowType(Type rows) {
  // Types are checked after traits in no fixed order, so anything may come in.
  auto tensor = dyn_cast<RankedTensorType>(rows);
  if (!tensor || tensor.getRank() < 1)
    return Type();
  return RankedTensorType::get(tensor.getDimSize(0),
                               IntegerType::get(rows.getContext(), 32));
}

/// (`->` type)?: absent where the result is not rounded.
static ParseResult parseRoundedType(OpAsmParser &parser, Type like,
                                    Type &result) {
  result = like;
  if (succeeded(parser.parseOptionalArrow()))
    return parser.parseType(result);
  return success();
}

static void printRoundedType(OpAsmPrinter &printer, Operation *, Type like,
                             Type result) {
  if (result != like)
    printer << " -> " << result;
}

/// (`rows` `(` %list `,` %count `:` type of the list `)`)?
static ParseResult
parseRowSet(OpAsmParser &parser,
            std::optional<OpAsmParser::UnresolvedOperand> &list,
            std::optional<OpAsmParser::UnresolvedOperand> &count,
            Type &listType, Type &countType) {
  if (failed(parser.parseOptionalKeyword("rows")))
    return success();
  list.emplace();
  count.emplace();
  if (parser.parseLParen() || parser.parseOperand(*list) ||
      parser.parseComma() || parser.parseOperand(*count) ||
      parser.parseColonType(listType) || parser.parseRParen())
    return failure();
  SmallVector<int64_t, 1> counts;
  if (auto type = dyn_cast<RankedTensorType>(listType);
      type && type.getRank() == 2)
    counts.push_back(type.getDimSize(0));
  countType = RankedTensorType::get(counts, parser.getBuilder().getI32Type());
  return success();
}

static void printRowSet(OpAsmPrinter &printer, Operation *, Value list,
                        Value count, Type listType, Type) {
  if (list)
    printer << "rows(" << list << ", " << count << " : " << listType << ")";
}

#define GET_OP_CLASSES
#include "coppice/Dialect/Decoder/IR/DecoderOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Result types
//===----------------------------------------------------------------------===//

/// [indices, width] of f32, or failure where `indices` is not a vector.
static FailureOr<Type> inferRows(MLIRContext *context, Type indices,
                                 int64_t width) {
  auto vector = dyn_cast<RankedTensorType>(indices);
  if (!vector || vector.getRank() != 1)
    return failure();
  return Type(RankedTensorType::get({vector.getDimSize(0), width},
                                    Float32Type::get(context)));
}

LogicalResult LookupOp::inferReturnTypes(
    MLIRContext *context, std::optional<Location> location, ValueRange operands,
    DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
    SmallVectorImpl<Type> &results) {
  Adaptor adaptor(operands, attributes, properties, regions);
  auto table = dyn_cast<RankedTensorType>(adaptor.getTable().getType());
  if (!table || table.getRank() != 2)
    return emitOptionalError(location, "expected a table of two dimensions");
  FailureOr<Type> rows =
      inferRows(context, adaptor.getIndices().getType(), table.getDimSize(1));
  if (failed(rows))
    return emitOptionalError(location, "expected indices to be a vector");
  results.push_back(*rows);
  return success();
}

LogicalResult RotaryTableOp::inferReturnTypes(
    MLIRContext *context, std::optional<Location> location, ValueRange operands,
    DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
    SmallVectorImpl<Type> &results) {
  Adaptor adaptor(operands, attributes, properties, regions);
  FailureOr<Type> rows =
      inferRows(context, adaptor.getPositions().getType(),
                2 * static_cast<int64_t>(adaptor.getFrequencies().size()));
  if (failed(rows))
    return emitOptionalError(location, "expected positions to be a vector");
  results.push_back(*rows);
  return success();
}

//===----------------------------------------------------------------------===//
// Verifiers
//===----------------------------------------------------------------------===//

/// `width` must be whole heads.
static LogicalResult verifyHeads(Operation *op, StringRef what, int64_t width,
                                 int64_t headDim) {
  if (headDim < 1)
    return op->emitOpError()
           << "expected head_dim to be positive, found " << headDim;
  if (width % headDim != 0)
    return op->emitOpError()
           << "expected head_dim to divide the width of the " << what
           << ", found " << headDim << " and " << width;
  return success();
}

/// A set of rows has both its list, with room for the rows of `input`, and its
/// count, or neither.
/// `heads` of the input, of which there may be equal groups with a list each;
/// 0: none, so that there is one list.
static LogicalResult verifyRowSet(Operation *op, Value list, Value count,
                                  Type input, int64_t heads) {
  if (!list != !count)
    return op->emitOpError()
           << "expected a list of rows and their number, found only "
           << (list ? "the list" : "the number");
  if (!list)
    return success();
  auto lists = cast<RankedTensorType>(list.getType()),
       counts = cast<RankedTensorType>(count.getType());
  if (counts.getShape() != lists.getShape().drop_back())
    return op->emitOpError() << "expected the number of rows of each list of "
                             << lists << ", found " << counts;
  if (lists.getRank() == 2 &&
      (!heads || lists.isDynamicDim(0) || heads % lists.getDimSize(0)))
    return op->emitOpError() << "expected lists of rows for equal groups of "
                             << heads << " heads, found " << lists;
  int64_t rows = cast<RankedTensorType>(input).getDimSize(0);
  if (lists.getShape().back() == rows)
    return success();
  return op->emitOpError() << "expected a list with room for the rows of "
                           << input << ", found " << list.getType();
}

LogicalResult RMSNormOp::verify() {
  int64_t normed = getHeadDimAttr() ? getHeadDimAttr().getInt() : 0;
  if (failed(verifyRowSet(
          *this, getRowList(), getRowCount(), getInput().getType(),
          normed > 0 ? getInput().getType().getDimSize(1) / normed : 0)))
    return failure();
  if (getHeadDimAttr() &&
      failed(verifyHeads(*this, "input", getInput().getType().getDimSize(1),
                         getHeadDimAttr().getInt())))
    return failure();
  int64_t width = getNormedWidth();
  if (int64_t gain = getGain().getType().getDimSize(0); gain != width)
    return emitOpError() << "expected one gain for each of the " << width
                         << " columns" << (getHeadDimAttr() ? " of a head" : "")
                         << ", found " << gain;
  // The columns that are left are some of those that there were.
  if (getDivisorAttr().getInt() < width)
    return emitOpError() << "expected the divisor to be at least the width "
                         << width << ", found " << getDivisorAttr().getInt();
  const llvm::APFloat &epsilon = getEpsilon();
  if (!epsilon.isFinite() || epsilon.isNegative())
    return emitOpError()
           << "expected epsilon to be finite and not negative, found "
           << getEpsilonAttr();
  return success();
}

LogicalResult RotaryTableOp::verify() {
  if (getFrequencies().empty())
    return emitOpError() << "expected at least one frequency";
  for (auto [index, frequency] : llvm::enumerate(getFrequencies()))
    if (!llvm::APFloat(frequency).isFinite())
      return emitOpError() << "expected finite frequencies, found "
                           << llvm::APFloat(frequency).convertToDouble()
                           << " at index " << index;
  return success();
}

LogicalResult RotaryOp::verify() {
  RankedTensorType input = getInput().getType(), angles = getAngles().getType();
  int64_t headDim = getHeadDimAttr().getInt();
  if (failed(verifyHeads(*this, "input", input.getDimSize(1), headDim)) ||
      failed(verifyRowSet(*this, getRowList(), getRowCount(), input,
                          input.getDimSize(1) / headDim)))
    return failure();
  if (angles.getDimSize(0) != input.getDimSize(0))
    return emitOpError() << "expected angles for each row of the input, found "
                         << angles << " and " << input;
  if (int64_t width = angles.getDimSize(1); width % 2 != 0 || width > headDim)
    return emitOpError() << "expected angles to be cosines and as many sines, "
                            "at most head_dim = "
                         << headDim << " together, found " << width;
  return success();
}

LogicalResult AppendOp::verify() {
  int64_t width = getRows().getType().getDimSize(1);
  if (int64_t cache = getCache().getType().getDimSize(2); cache != width)
    return emitOpError() << "expected rows as wide as the cache, found "
                         << width << " and " << cache;
  Type rows = getRows().getType().getElementType();
  if (Type cache = getCache().getType().getElementType();
      !rows.isF32() && rows != cache)
    return emitOpError() << "expected rows of f32 or, as the cache, of "
                         << cache << ", found " << rows;
  if (!getCache().hasOneUse()) {
    InFlightDiagnostic diagnostic =
        emitOpError() << "expected to be the only use of the cache that it "
                         "updates; other users must read the updated cache";
    for (OpOperand &use : getCache().getUses())
      if (use.getOwner() != getOperation())
        diagnostic.attachNote(use.getOwner()->getLoc())
            << "the old cache is also used here";
    return diagnostic;
  }
  return success();
}

/// Lists of blocks, and how many positions a block has: both or neither.
static LogicalResult verifyBlocks(AttentionOp op) {
  if (!op.getBlocks() != !op.getBlockSizeAttr())
    return op.emitOpError()
           << "expected lists of blocks and the size of a block, found only "
           << (op.getBlocks() ? "the lists" : "the size");
  if (!op.getBlocks())
    return success();
  // Products of a size and any i32 are not to overflow.
  constexpr int64_t kMostPositions = 1 << 20;
  if (int64_t size = op.getBlockSizeAttr().getInt();
      size < 1 || size > kMostPositions)
    return op.emitOpError() << "expected blocks of 1 to " << kMostPositions
                            << " positions, found " << size;
  auto lists = op.getBlocks().getType();
  if (lists.getDimSize(0) == op.getQuery().getType().getDimSize(0) &&
      lists.getDimSize(1) % op.getKvHeads() == 0)
    return success();
  return op.emitOpError() << "expected lists of blocks for each row of "
                          << op.getQuery().getType() << ", equally long for "
                          << "each of " << op.getKvHeads()
                          << " KV heads, found " << lists;
}

/// A threshold, and how many positions are dropped together: both or neither.
static LogicalResult verifyDrop(AttentionOp op) {
  if (!op.getDropBelowAttr() != !op.getDropSizeAttr())
    return op.emitOpError()
           << "expected 'drop_below' and 'drop_size', found only "
           << (op.getDropBelowAttr() ? "the former" : "the latter");
  if (!op.getDropBelowAttr())
    return success();
  double threshold = op.getDropBelowAttr().getValueAsDouble();
  if (!(threshold > 0 && threshold < 1))
    return op.emitOpError()
           << "expected 'drop_below' between 0 and 1, found " << threshold;
  int64_t size = op.getDropSizeAttr().getInt();
  if (size < 32 || size % 32 || size > 256)
    return op.emitOpError() << "expected a 'drop_size' of a multiple of 32 up "
                               "to 256, found "
                            << size;
  if (op.getBlocks() && op.getBlockSizeAttr().getInt() != size)
    return op.emitOpError()
           << "expected lists of blocks of 'drop_size' " << size
           << " positions, found blocks of " << op.getBlockSizeAttr().getInt();
  return success();
}

LogicalResult AttentionOp::verify() {
  int64_t headDim = getHeadDimAttr().getInt();
  if (failed(verifyRowSet(*this, getRowList(), getRowCount(),
                          getQuery().getType(),
                          headDim > 0 ? getQueryHeads() : 0)))
    return failure();
  if (failed(verifyHeads(*this, "query", getQuery().getType().getDimSize(1),
                         headDim)) ||
      failed(verifyHeads(*this, "caches", getKeys().getType().getDimSize(2),
                         headDim)))
    return failure();
  if (getQueryHeads() % getKvHeads() != 0)
    return emitOpError() << "expected the number of KV heads to divide the "
                            "number of query heads, found "
                         << getKvHeads() << " and " << getQueryHeads();
  if (auto lists = dyn_cast_or_null<RankedTensorType>(
          getRowList() ? getRowList().getType() : Type());
      lists && lists.getRank() == 2 && getKvHeads() % lists.getDimSize(0) &&
      lists.getDimSize(0) % getKvHeads())
    return emitOpError() << "expected lists of rows for groups of KV heads, or "
                            "for equal groups of the query heads that share "
                            "one of "
                         << getKvHeads() << ", found " << lists;
  if (failed(verifyBlocks(*this)) || failed(verifyDrop(*this)))
    return failure();
  if (!getScale().isFinite())
    return emitOpError() << "expected a finite scale, found " << getScaleAttr();
  if (std::optional<uint64_t> window = getWindow();
      window && static_cast<int64_t>(*window) < 1)
    return emitOpError() << "expected a window of at least 1, found "
                         << static_cast<int64_t>(*window);
  return success();
}
