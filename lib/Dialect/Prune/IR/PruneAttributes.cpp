// Keep-sets. A set is a list of ascending, disjoint, non-touching ranges of
// granules; every operation is a merge over two such lists.
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"
#include <numeric>

using namespace mlir;
using namespace coppice::prune;

#include "coppice/Dialect/Prune/IR/PruneAttrInterfaces.cpp.inc"
#include "coppice/Dialect/Prune/IR/PruneEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "coppice/Dialect/Prune/IR/PruneAttributes.cpp.inc"

void PruneDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "coppice/Dialect/Prune/IR/PruneAttributes.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// SetAttr: text
//===----------------------------------------------------------------------===//

/// Appends a range that begins at or after the last one's end; joins touching
/// ones.
static void append(SmallVectorImpl<IndexRange> &ranges, int64_t begin,
                   int64_t end) {
  if (begin == end)
    return;
  if (!ranges.empty() && ranges.back().end == begin)
    ranges.back().end = end;
  else
    ranges.push_back({begin, end});
}

// `<` (`none` | `[` range-list `]`) (`of` count (`x` granule)?)? `>`
Attribute SetAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  SmallVector<IndexRange> ranges;
  int64_t count = ShapedType::kDynamic, granule = 1;
  if (parser.parseLess())
    return {};
  auto parseRange = [&]() -> ParseResult {
    SMLoc rangeLoc = parser.getCurrentLocation();
    int64_t begin, end;
    if (parser.parseInteger(begin))
      return failure();
    if (begin < 0 || begin == std::numeric_limits<int64_t>::max())
      return parser.emitError(rangeLoc,
                              "expected an index of at least 0, found ")
             << begin;
    end = begin + 1;
    if (succeeded(parser.parseOptionalColon()) && parser.parseInteger(end))
      return failure();
    if (end <= begin)
      return parser.emitError(rangeLoc,
                              "expected a range 'a:b' with a < b, found ")
             << begin << ":" << end;
    if (!ranges.empty() && begin < ranges.back().end)
      return parser.emitError(rangeLoc,
                              "expected ascending, disjoint indices, found ")
             << begin << " after " << ranges.back().end - 1;
    append(ranges, begin, end);
    return success();
  };
  bool isNone = succeeded(parser.parseOptionalKeyword("none"));
  if (!isNone &&
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseRange))
    return {};
  bool hasCount =
      isNone ? succeeded(parser.parseOptionalKeyword("of"))
             : succeeded(parser.parseKeyword(
                   "of",
                   " and the number of granules after the list of kept ones"));
  if (!isNone && !hasCount)
    return {};
  if (hasCount) {
    if (parser.parseInteger(count))
      return {};
    // `4 x 16`, not the dimension list `4x16`: the lexer would read 0x.. as
    // hexadecimal.
    if (succeeded(parser.parseOptionalKeyword("x")) &&
        parser.parseInteger(granule))
      return {};
    if (count < 0) {
      parser.emitError(loc,
                       "expected a number of granules of at least 0, found ")
          << count;
      return {};
    }
  }
  if (parser.parseGreater())
    return {};
  return parser.getChecked<SetAttr>(loc, parser.getContext(), ranges, count,
                                    granule);
}

void SetAttr::print(AsmPrinter &printer) const {
  printer << "<";
  if (isEmpty()) {
    printer << "none";
  } else {
    printer << "[";
    llvm::interleaveComma(getRanges(), printer, [&](const IndexRange &range) {
      printer << range.begin;
      if (range.size() != 1)
        printer << ":" << range.end;
    });
    printer << "]";
  }
  if (!hasDynamicCount()) {
    printer << " of " << getCount();
    if (getGranule() != 1)
      printer << " x " << getGranule();
  }
  printer << ">";
}

LogicalResult SetAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                              ArrayRef<IndexRange> ranges, int64_t count,
                              int64_t granule) {
  if (granule < 1)
    return emitError() << "expected a granule of at least 1, found " << granule;
  if (ShapedType::isDynamic(count)) {
    if (!ranges.empty())
      return emitError()
             << "expected a number of granules, since the set is not empty";
    if (granule != 1)
      return emitError()
             << "expected no granule without a number of granules, found "
             << granule;
    return success();
  }
  int64_t extent;
  if (count < 0 || llvm::MulOverflow(count, granule, extent))
    return emitError() << "expected an extent that fits 64 bits, found "
                       << count << " granules of " << granule;
  int64_t previousEnd = -1;
  for (const IndexRange &range : ranges) {
    if (range.begin < 0 || range.begin >= range.end ||
        range.begin <= previousEnd)
      return emitError() << "expected ascending, disjoint ranges, found "
                         << range.begin << ":" << range.end << " after the end "
                         << previousEnd;
    if (range.end > count)
      return emitError() << "expected indices below " << count << ", found "
                         << range.end - 1;
    previousEnd = range.end;
  }
  return success();
}

//===----------------------------------------------------------------------===//
// SetAttr: making and asking
//===----------------------------------------------------------------------===//

SetAttr SetAttr::all(MLIRContext *context, int64_t count, int64_t granule) {
  if (count == 0)
    return none(context, 0, granule);
  return get(context, IndexRange{0, count}, count, granule);
}

SetAttr SetAttr::none(MLIRContext *context, int64_t count, int64_t granule) {
  return get(context, ArrayRef<IndexRange>(), count, granule);
}

SetAttr SetAttr::fromIndices(MLIRContext *context, ArrayRef<int64_t> sorted,
                             int64_t count, int64_t granule) {
  SmallVector<IndexRange> ranges;
  for (int64_t index : sorted)
    append(ranges, index, index + 1);
  return get(context, ranges, count, granule);
}

SetAttr SetAttr::fromMask(MLIRContext *context, ArrayRef<bool> mask,
                          int64_t granule) {
  SmallVector<IndexRange> ranges;
  for (auto [index, kept] : llvm::enumerate(mask))
    if (kept)
      append(ranges, index, index + 1);
  return get(context, ranges, mask.size(), granule);
}

int64_t SetAttr::size() const {
  int64_t size = 0;
  for (const IndexRange &range : getRanges())
    size += range.size();
  return size;
}

int64_t SetAttr::getExtent() const {
  return hasDynamicCount() ? ShapedType::kDynamic : getCount() * getGranule();
}

bool SetAttr::isFull() const {
  if (hasDynamicCount())
    return false;
  return getCount() == 0 ||
         (!isEmpty() && getRanges().front() == IndexRange{0, getCount()});
}

bool SetAttr::containsGranule(int64_t index) const {
  const IndexRange *after = llvm::partition_point(
      getRanges(), [&](const IndexRange &range) { return range.end <= index; });
  return after != getRanges().end() && after->begin <= index;
}

SmallVector<int64_t> SetAttr::getGranuleIndices() const {
  SmallVector<int64_t> indices;
  indices.reserve(size());
  for (const IndexRange &range : getRanges())
    for (int64_t i = range.begin; i != range.end; ++i)
      indices.push_back(i);
  return indices;
}

SmallVector<int64_t> SetAttr::getIndices() const {
  SmallVector<int64_t> indices;
  indices.reserve(getKeptExtent());
  for (const IndexRange &range : getRanges())
    for (int64_t i = range.begin * getGranule(), e = range.end * getGranule();
         i != e; ++i)
      indices.push_back(i);
  return indices;
}

bool SetAttr::keepsSameAs(SetAttr other) const {
  if (getExtent() != other.getExtent())
    return false;
  return hasDynamicCount() || refine(1) == other.refine(1);
}

//===----------------------------------------------------------------------===//
// SetAttr: algebra
//===----------------------------------------------------------------------===//

/// Both sets in granules of the greatest common divisor.
static std::pair<SetAttr, SetAttr> align(SetAttr a, SetAttr b) {
  int64_t granule = std::gcd(a.getGranule(), b.getGranule());
  return {a.refine(granule), b.refine(granule)};
}

SetAttr SetAttr::intersect(SetAttr other) const {
  auto [a, b] = align(*this, other);
  SmallVector<IndexRange> ranges;
  const IndexRange *i = a.getRanges().begin(), *j = b.getRanges().begin();
  while (i != a.getRanges().end() && j != b.getRanges().end()) {
    int64_t begin = std::max(i->begin, j->begin),
            end = std::min(i->end, j->end);
    if (begin < end)
      append(ranges, begin, end);
    i->end < j->end ? ++i : ++j;
  }
  // An extent that only one of them knows is the result's.
  return get(getContext(), ranges,
             a.hasDynamicCount() ? b.getCount() : a.getCount(),
             a.hasDynamicCount() ? b.getGranule() : a.getGranule());
}

SetAttr SetAttr::unite(SetAttr other) const {
  if (hasDynamicCount())
    return other;
  if (other.hasDynamicCount())
    return *this;
  return complement().intersect(other.complement()).complement();
}

SetAttr SetAttr::complement() const {
  SmallVector<IndexRange> ranges;
  int64_t end = 0;
  for (const IndexRange &range : getRanges()) {
    append(ranges, end, range.begin);
    end = range.end;
  }
  if (!hasDynamicCount())
    append(ranges, end, getCount());
  return get(getContext(), ranges, getCount(), getGranule());
}

SetAttr SetAttr::compose(SetAttr inner) const {
  if (hasDynamicCount())
    return *this;
  if (inner.hasDynamicCount())
    return none(getContext(), getCount(), getGranule());
  auto [a, b] = align(*this, inner);
  SmallVector<IndexRange> ranges;
  const IndexRange *outer = a.getRanges().begin();
  int64_t position = 0; // of outer->begin among the kept
  for (IndexRange range : b.getRanges()) {
    while (range.begin < range.end && outer != a.getRanges().end()) {
      int64_t next = position + outer->size();
      if (range.begin >= next) {
        position = next;
        ++outer;
        continue;
      }
      int64_t end = std::min(range.end, next);
      append(ranges, outer->begin + range.begin - position,
             outer->begin + end - position);
      range.begin = end;
    }
  }
  return get(getContext(), ranges, a.getCount(), a.getGranule());
}

SetAttr SetAttr::positionsIn(SetAttr outer) const {
  if (outer.hasDynamicCount())
    return none(getContext(), 0);
  if (hasDynamicCount())
    return none(getContext(), outer.size(), outer.getGranule());
  auto [a, b] = align(*this, outer);
  SmallVector<IndexRange> ranges;
  const IndexRange *mine = a.getRanges().begin();
  int64_t position = 0; // of range.begin among outer's kept
  for (const IndexRange &range : b.getRanges()) {
    while (mine != a.getRanges().end() && mine->end <= range.begin)
      ++mine;
    for (const IndexRange *i = mine;
         i != a.getRanges().end() && i->begin < range.end; ++i)
      append(ranges, position + std::max(i->begin, range.begin) - range.begin,
             position + std::min(i->end, range.end) - range.begin);
    // The last one that begins in this range may reach into the next.
    while (mine != a.getRanges().end() && mine->end <= range.end)
      ++mine;
    position += range.size();
  }
  return get(getContext(), ranges, position, a.getGranule());
}

SmallVector<int64_t> SetAttr::indexMapFrom(SetAttr other) const {
  SmallVector<int64_t> mine = getIndices(), theirs = other.getIndices(), map;
  map.reserve(mine.size());
  size_t j = 0;
  for (int64_t index : mine) {
    while (j < theirs.size() && theirs[j] < index)
      ++j;
    map.push_back(
        j < theirs.size() && theirs[j] == index ? static_cast<int64_t>(j) : -1);
  }
  return map;
}

SetAttr SetAttr::refine(int64_t granule) const {
  if (hasDynamicCount() || granule == getGranule())
    return *this;
  assert(granule >= 1 && getGranule() % granule == 0 &&
         "not a divisor of the granule");
  int64_t factor = getGranule() / granule;
  SmallVector<IndexRange> ranges;
  for (const IndexRange &range : getRanges())
    ranges.push_back({range.begin * factor, range.end * factor});
  return get(getContext(), ranges, getCount() * factor, granule);
}

SetAttr SetAttr::coarsen(int64_t granule) const {
  if (hasDynamicCount())
    return *this;
  if (granule < 1 || getExtent() % granule != 0)
    return {};
  SmallVector<IndexRange> ranges;
  for (const IndexRange &range : getRanges()) {
    int64_t begin = range.begin * getGranule(), end = range.end * getGranule();
    if (begin % granule != 0 || end % granule != 0)
      return {};
    ranges.push_back({begin / granule, end / granule});
  }
  return get(getContext(), ranges, getExtent() / granule, granule);
}

SetAttr SetAttr::expand(int64_t factor) const {
  if (hasDynamicCount())
    return *this;
  return get(getContext(), getRanges(), getCount(), getGranule() * factor);
}

//===----------------------------------------------------------------------===//
// Sets of a plan
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<int64_t>>
SetAttr::resolve(int64_t count, SetFileReader &,
                 function_ref<InFlightDiagnostic()> emitError) const {
  if (getGranule() != 1)
    return emitError()
           << "expected a set of single indices in a plan, found granules of "
           << getGranule();
  if (!hasDynamicCount() && getCount() != count)
    return emitError() << "expected a set of " << count
                       << ", as many as the model has, found one of "
                       << getCount();
  return getIndices();
}

FailureOr<SmallVector<int64_t>>
FileSetAttr::resolve(int64_t count, SetFileReader &files,
                     function_ref<InFlightDiagnostic()> emitError) const {
  return files.read(getPath().getValue(), getKey().getValue(), count,
                    emitError);
}

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

LogicalResult NMAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                             int64_t kept, int64_t of) {
  // Groups are looked at whole; no hardware and no method knows long ones.
  constexpr int64_t longest = 1024;
  if (kept < 1 || kept > of || of > longest)
    return emitError() << "expected a pattern 'N of M' with 1 <= N <= M <= "
                       << longest << ", found " << kept << " of " << of;
  return success();
}

//===----------------------------------------------------------------------===//
// Routers
//===----------------------------------------------------------------------===//

LogicalResult RouterAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 RouterKind kind, int64_t rank) {
  if (kind == RouterKind::Linear ? rank == 0 : rank >= 1)
    return success();
  return emitError() << (kind == RouterKind::Linear
                             ? "expected no width of a linear router"
                             : "expected a width of at least 1 between the two "
                               "products of a router")
                     << ", found " << rank;
}

/// KIND (`(` rank `)`)?
ParseResult coppice::prune::parseRouter(AsmParser &parser, RouterAttr &router) {
  SMLoc loc = parser.getCurrentLocation();
  StringRef keyword;
  if (parser.parseKeyword(&keyword))
    return failure();
  std::optional<RouterKind> kind = symbolizeRouterKind(keyword);
  if (!kind)
    return parser.emitError(loc)
           << "expected 'linear', 'bottleneck' or 'mlp', found '" << keyword
           << "'";
  int64_t rank = 0;
  if (succeeded(parser.parseOptionalLParen()) &&
      (parser.parseInteger(rank) || parser.parseRParen()))
    return failure();
  router = RouterAttr::getChecked([&] { return parser.emitError(loc); },
                                  parser.getContext(), *kind, rank);
  return success(router != nullptr);
}

void coppice::prune::printRouter(AsmPrinter &printer, Operation *,
                                 RouterAttr router) {
  printer << stringifyRouterKind(router.getKind());
  if (router.getRank())
    printer << "(" << router.getRank() << ")";
}

Attribute RouterAttr::parse(AsmParser &parser, Type) {
  RouterAttr router;
  if (parser.parseLess() || parseRouter(parser, router) ||
      parser.parseGreater())
    return {};
  return router;
}

void RouterAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printRouter(printer, nullptr, *this);
  printer << ">";
}
