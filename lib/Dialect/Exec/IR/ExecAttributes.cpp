//===- ExecAttributes.cpp - assembly and rules of exec attributes ---------===//
#include "coppice/Dialect/Exec/IR/Exec.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace coppice::exec;

#include "coppice/Dialect/Exec/IR/ExecEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "coppice/Dialect/Exec/IR/ExecAttributes.cpp.inc"

void ExecDialect::registerAttrs() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "coppice/Dialect/Exec/IR/ExecAttributes.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// PackingAttr
//===----------------------------------------------------------------------===//

Attribute PackingAttr::parse(AsmParser &parser, Type) {
  SMLoc location = parser.getCurrentLocation();
  if (parser.parseLess())
    return {};
  int64_t panels = 0, depth = 1, kept = 0, of = 0;
  if (failed(parser.parseOptionalKeyword("rows"))) {
    if (parser.parseKeyword("panels", ", or 'rows'") || parser.parseEqual() ||
        parser.parseInteger(panels))
      return {};
    bool more = succeeded(parser.parseOptionalComma());
    if (more && succeeded(parser.parseOptionalKeyword("depth"))) {
      if (parser.parseEqual() || parser.parseInteger(depth))
        return {};
      more = succeeded(parser.parseOptionalComma());
    }
    if (more && (parser.parseKeyword("keeps") || parser.parseEqual() ||
                 parser.parseInteger(kept) || parser.parseKeyword("of") ||
                 parser.parseInteger(of)))
      return {};
  }
  if (parser.parseGreater())
    return {};
  return parser.getChecked<PackingAttr>(location, parser.getContext(), panels,
                                        depth, kept, of);
}

void PackingAttr::print(AsmPrinter &printer) const {
  if (isRows()) {
    printer << "<rows>";
    return;
  }
  printer << "<panels = " << getPanels();
  if (getDepth() != 1)
    printer << ", depth = " << getDepth();
  if (getOf())
    printer << ", keeps = " << getKept() << " of " << getOf();
  printer << ">";
}

LogicalResult PackingAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t panels, int64_t depth, int64_t kept,
                                  int64_t of) {
  if (panels < 0 || panels > 4096)
    return emitError() << "expected panels of 1 to 4096 columns, found "
                       << panels;
  if (depth < 1 || depth > 64 || (panels == 0 && depth != 1))
    return emitError() << "expected a depth of 1 to 64, found " << depth;
  if ((kept || of) && !rt::NMLayout::make(kept, of, panels, depth, 4) &&
      !rt::NMLayout::make(kept, of, panels, depth, 2))
    return emitError() << "expected to keep 1 or 2 of 4, in panels of a "
                          "multiple of 8 and a depth of 1 or 2, or of 16 and a "
                          "depth of 32, found "
                       << kept << " of " << of << " in panels of " << panels
                       << ", depth " << depth;
  return success();
}

std::optional<coppice::rt::NMLayout>
PackingAttr::getNMLayout(Type element) const {
  if (!getOf())
    return std::nullopt;
  return rt::NMLayout::make(getKept(), getOf(), getPanels(), getDepth(),
                            getElementBytes(element));
}

FailureOr<SmallVector<int64_t>> PackingAttr::pack(ShapedType type) const {
  ArrayRef<int64_t> shape = type.getShape();
  if (isRows())
    return SmallVector<int64_t>(shape);
  if (shape.size() != 2 || ShapedType::isDynamicShape(shape))
    return failure();
  if (getOf()) {
    std::optional<rt::NMLayout> layout = getNMLayout(type.getElementType());
    if (!layout)
      return failure();
    return SmallVector<int64_t>{
        static_cast<int64_t>(llvm::divideCeil(shape[0], getPanels())),
        static_cast<int64_t>(llvm::divideCeil(shape[1], layout->stepColumns())),
        layout->stepElements()};
  }
  return SmallVector<int64_t>{
      static_cast<int64_t>(llvm::divideCeil(shape[0], getPanels())),
      static_cast<int64_t>(llvm::divideCeil(shape[1], getDepth())),
      getPanels() * getDepth()};
}

//===----------------------------------------------------------------------===//
// ConfigAttr
//===----------------------------------------------------------------------===//

Attribute ConfigAttr::parse(AsmParser &parser, Type) {
  SMLoc location = parser.getCurrentLocation();
  std::string strategy;
  if (parser.parseLess() || parser.parseString(&strategy))
    return {};
  Builder builder(parser.getContext());
  SmallVector<NamedAttribute> parameters;
  while (succeeded(parser.parseOptionalComma())) {
    StringRef name;
    int64_t value = 0;
    SMLoc here = parser.getCurrentLocation();
    if (parser.parseKeyword(&name) || parser.parseEqual() ||
        parser.parseInteger(value))
      return {};
    if (llvm::any_of(parameters, [&](NamedAttribute other) {
          return other.getName() == name;
        })) {
      parser.emitError(here, "parameter '") << name << "' is given twice";
      return {};
    }
    parameters.push_back(
        builder.getNamedAttr(name, builder.getI64IntegerAttr(value)));
  }
  if (parser.parseGreater())
    return {};
  return parser.getChecked<ConfigAttr>(location, parser.getContext(),
                                       builder.getStringAttr(strategy),
                                       builder.getDictionaryAttr(parameters));
}

void ConfigAttr::print(AsmPrinter &printer) const {
  printer << "<" << getStrategy();
  for (NamedAttribute parameter : getParameters())
    printer << ", " << parameter.getName().getValue() << " = "
            << cast<IntegerAttr>(parameter.getValue()).getInt();
  printer << ">";
}

LogicalResult ConfigAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringAttr strategy,
                                 DictionaryAttr parameters) {
  if (strategy.getValue().empty())
    return emitError()
           << "expected the name of a strategy, found an empty string";
  for (NamedAttribute parameter : parameters)
    if (!isa<IntegerAttr>(parameter.getValue()))
      return emitError() << "expected parameter '"
                         << parameter.getName().getValue()
                         << "' to be an integer, found "
                         << parameter.getValue();
  return success();
}

std::optional<int64_t> ConfigAttr::getParameter(StringRef name) const {
  if (auto value = getParameters().getAs<IntegerAttr>(name))
    return value.getInt();
  return std::nullopt;
}

std::string ConfigAttr::getText() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << getStrategy().getValue();
  for (NamedAttribute parameter : getParameters())
    os << ", " << parameter.getName().getValue() << " "
       << cast<IntegerAttr>(parameter.getValue()).getInt();
  return text;
}

//===----------------------------------------------------------------------===//
// VariantAttr
//===----------------------------------------------------------------------===//

LogicalResult VariantAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                  ArrayRef<StageAttr> stages, AffineMapAttr,
                                  AffineMapAttr) {
  if (stages.empty())
    return emitError() << "expected a variant with at least one stage";
  return success();
}

//===----------------------------------------------------------------------===//
// LimitsAttr
//===----------------------------------------------------------------------===//

LogicalResult CostAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               AffineMapAttr, AffineMapAttr, AffineMapAttr,
                               AffineMapAttr, Arithmetic, int64_t window,
                               int64_t executedPerFlop) {
  if (window < 0 || window > (int64_t(1) << 31))
    return emitError()
           << "expected a window of 1 to 2^31, or 0 for none, found " << window;
  if (executedPerFlop < 1 || executedPerFlop > 64)
    return emitError() << "expected 1 to 64 executed per FLOP, found "
                       << executedPerFlop;
  return success();
}

LogicalResult LimitsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t rows, int64_t slots, int64_t context) {
  auto check = [&](StringRef name, int64_t value) -> LogicalResult {
    if (value < 1 || value > (int64_t(1) << 31))
      return emitError() << "expected limit '" << name
                         << "' to be 1 to 2^31, found " << value;
    return success();
  };
  return success(succeeded(check("rows", rows)) &&
                 succeeded(check("slots", slots)) &&
                 succeeded(check("context", context)));
}
