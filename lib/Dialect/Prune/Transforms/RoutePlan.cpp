// In: decisions that leave rows of sublayers, or groups of their columns, to
// routers. Out: for each router its products, `prune.decide`, and a
// `prune.project_by` on what the sublayers of the route add to the residual, or
// on what their last product reads; and one argument of the function for all
// decisions that are forced from outside.
#include "RoutePlan.h"
#include "PlannedWeights.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <cmath>

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

/// The residual that a sublayer adds to.
static Value getResidual(const Sublayer &sublayer) {
  linalg::GenericOp sum = sublayer.residual;
  return sum.getDpsInputOperand(1 - sublayer.delta->getOperandNumber())->get();
}

static int64_t getHidden(const Sublayer &sublayer) {
  return cast<RankedTensorType>(sublayer.delta->get().getType()).getDimSize(1);
}

/// What the sublayer's own products read: its residual, normed. Null if there
/// is no such norm.
static Value findNormed(const Sublayer &sublayer) {
  Value found;
  sublayer.residual->getParentOfType<func::FuncOp>().walk(
      [&](decoder::RMSNormOp norm) {
        if (norm.getSite() == sublayer.name + ".norm")
          found = norm.getResult();
      });
  return found;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

LogicalResult RoutePlan::read(RouteOp op, ArrayRef<size_t> indices,
                              bool isLayer) {
  for (size_t index : indices) {
    const Sublayer &sublayer = sublayers[index];
    Decision decision;
    decision.op = op;
    decision.name = isLayer ? parseLayerSite(sublayer.name)->layerName.str()
                            : sublayer.name;
    if (Decision &present = decisions[index]; present.op) {
      InFlightDiagnostic diagnostic = op.emitOpError()
                                      << "rows of '" << sublayer.name
                                      << "' are decided about twice";
      diagnostic.attachNote(present.op.getLoc())
          << "the other decision, about '" << present.op.getSites()
          << "', is here";
      return diagnostic;
    }
    auto type = cast<RankedTensorType>(sublayer.delta->get().getType());
    if (type.getRank() != 2 || type.isDynamicDim(1) ||
        !type.getElementType().isF32())
      return op.emitOpError()
             << "expected '" << sublayer.name
             << "' to add rows of f32 of static width, found " << type;
    decisions[index] = decision;
  }
  return success();
}

/// How many groups there are of what is left, and of which columns.
LogicalResult RoutePlan::countGroups(Decision &decision,
                                     const Sublayer &sublayer, SetAttr kept) {
  RouteOp op = decision.op;
  if (decision.name != sublayer.name)
    return op.emitOpError() << "'" << op.getSites()
                            << "' names whole layers, expected sublayers such "
                               "as '"
                            << sublayer.name << "' with groups";
  // No group is wider than all there is, in whole panels of kernels.
  auto clamp = [&](int64_t most) {
    return std::min(static_cast<int64_t>(*op.getGroupSize()), most);
  };
  if (op.getReduction()) {
    if (!findNormed(sublayer))
      return op.emitOpError()
             << "expected '" << sublayer.name
             << ".norm' to make what axis(K) is of, found no such norm";
    int64_t hidden = getHidden(sublayer);
    int64_t size = clamp(llvm::alignTo(hidden, 16));
    decision.groups = static_cast<int64_t>(llvm::divideCeil(hidden, size));
    decision.groupColumns = size;
    decision.among = SetAttr::all(op.getContext(), hidden);
    return success();
  }
  if (!sublayer.sink)
    return op.emitOpError()
           << "'" << sublayer.name
           << "' does not end with a matrix multiplication of static width, "
              "so there are no groups of columns to choose from";
  auto all = SetAttr::all(op.getContext(), sublayer.count);
  decision.among = (kept ? kept : all).expand(sublayer.granule);
  int64_t left = decision.among.getKeptExtent() / sublayer.unit;
  bool hasHeads = sublayer.dimension == Dimension::KVHeads;
  int64_t size = clamp(hasHeads ? left : llvm::alignTo(left, 16));
  decision.groups = static_cast<int64_t>(llvm::divideCeil(left, size));
  decision.groupColumns = size * sublayer.unit;
  if (!hasHeads)
    return success();
  // Heads that share keys are attended to together.
  int64_t shared = sublayer.granule / sublayer.unit;
  if (left % size == 0 && (shared % size == 0 || size % shared == 0))
    return success();
  return op.emitOpError() << "expected groups of '" << sublayer.name
                          << "' to divide the " << left
                          << " query heads that are left, and to "
                          << "be a divisor or a multiple of the " << shared
                          << " that share a KV head, found groups of " << size
                          << "; groups of 1 always are";
}

LogicalResult RoutePlan::check(function_ref<SetAttr(size_t)> keptOf) {
  // As many as a program may have (runtime/bundle).
  constexpr int64_t kMostColumns = int64_t(1) << 20;
  int64_t columns = 0;
  for (auto &[index, decision] : decisions) {
    const Sublayer &sublayer = sublayers[index];
    if (decision.op.getGroupSize() &&
        failed(countGroups(decision, sublayer, keptOf(index))))
      return failure();
    if (auto width = decision.op.getForecast();
        width && static_cast<int64_t>(*width) > kMostColumns)
      return decision.op.emitOpError()
             << "expected a width of at most " << kMostColumns
             << " between the products of a forecast, found " << *width;
    if (decision.op.getForecast() && !findNormed(sublayer))
      return decision.op.emitOpError()
             << "expected '" << sublayer.name
             << ".norm' to make what 'forecast' reads, found no such norm";
    if (decision.op.getFile() && failed(checkFile(decision, sublayer)))
      return failure();
    columns += decision.groups;
    if (columns > kMostColumns)
      return decision.op.emitOpError()
             << "expected at most " << kMostColumns
             << " decisions a row in all routes together, found more with '"
             << sublayer.name << "'; larger groups are fewer";
  }
  return success();
}

/// A router's weights, which make `scores`.
static SmallVector<PlannedWeight> weightsOfRouter(RouterAttr attr,
                                                  StringRef name,
                                                  int64_t hidden,
                                                  int64_t scores) {
  std::string router = (name + ".router").str();
  int64_t rank = attr.getRank();
  if (attr.getKind() == RouterKind::Linear)
    return {{router + ".weight", {scores, hidden}}};
  return {{router + ".in.weight", {rank, hidden}},
          {router + ".in.bias", {rank}},
          {router + ".out.weight", {scores, rank}},
          {router + ".out.bias", {scores}}};
}

static SmallVector<PlannedWeight> weightsOfForecast(const Sublayer &sublayer,
                                                    int64_t rank) {
  std::string forecast = sublayer.name + ".forecast";
  int64_t hidden = getHidden(sublayer);
  return {{forecast + ".in.weight", {rank, hidden}},
          {forecast + ".out.weight", {hidden, rank}}};
}

LogicalResult RoutePlan::checkFile(const Decision &decision,
                                   const Sublayer &sublayer) {
  RouteOp op = decision.op;
  SmallVector<PlannedWeight> weights = weightsOfRouter(
      op.getRouter(), decision.name, getHidden(sublayer), 2 * decision.groups);
  if (op.getForecast())
    llvm::append_range(weights, weightsOfForecast(sublayer, *op.getForecast()));
  return checkPlannedWeights(op, *op.getFile(), weights, getStorage(sublayer),
                             files, options.directory);
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

namespace {
/// Writes what routes compute beside the model: routers, their decisions, and
/// what stands in for rows that are passed by.
class RouteWriter {
public:
  RouteWriter(ModuleOp module, RouteOp op, Type storage, bool openSources)
      : op(op), weights(module, storage, op.getFileAttr(), openSources),
        builder(op.getContext()) {}

  /// The mask of the rows of `input`, right behind it: of `groups` columns,
  /// forced by as many columns of `forced`, from `column` on.
  Value writeDecision(StringRef name, Value input, int64_t groups, Value forced,
                      int64_t column, Value slots) {
    startBehind(input);
    Value scores = makeScores(name.str() + ".router", input, 2 * groups);
    auto type =
        RankedTensorType::get({rowsOf(input), groups}, builder.getI8Type());
    // The probability of keeping is at least P where the other score is no
    // more than log((1 - P) / P) above.
    double margin = 0;
    if (op.getThreshold()) {
      double least = op.getThreshold()->convertToDouble();
      margin = std::log((1 - least) / least);
    }
    return DecideOp::create(
        builder, loc(), type, builder.getStringAttr(name + ".route"), scores,
        forced, op.getTop() ? slots : Value(),
        builder.getI64IntegerAttr(column), builder.getF64FloatAttr(margin),
        op.getTopAttr(), op.getExpectedAttr());
  }

  /// `delta` times the probability of keeping the row, by the scores of its
  /// decision: 1 / (1 + exp(s1 - s0)).
  Value writeScaled(StringRef name, Value delta, Value mask) {
    // Rows are not asked of what is added: its product then has one reader, and
    // takes the scale into its epilogue.
    builder.setInsertionPointAfterValue(delta);
    rows = tensor::getMixedSize(builder, loc(), mask, 0);
    Value scores = mask.getDefiningOp<DecideOp>().getScores();
    auto perRow =
        RankedTensorType::get({rowsOf(delta), 1}, builder.getF32Type());
    Value weight = elementwise(
        (name + ".scale").str(), perRow, {}, {},
        [&](OpBuilder &b, Location l, ValueRange) -> Value {
          Value row = linalg::IndexOp::create(b, l, 0);
          auto at = [&](int64_t column) {
            return tensor::ExtractOp::create(
                b, l, scores,
                ValueRange{row, arith::ConstantIndexOp::create(b, l, column)});
          };
          Value one = arith::ConstantOp::create(b, l, b.getF32FloatAttr(1));
          Value odds = math::ExpOp::create(
              b, l, arith::SubFOp::create(b, l, at(1), at(0)));
          return arith::DivFOp::create(b, l, one,
                                       arith::AddFOp::create(b, l, one, odds));
        });
    AffineMap row = AffineMap::get(
        2, 0, {builder.getAffineDimExpr(0), builder.getAffineConstantExpr(0)},
        builder.getContext());
    return elementwise((name + ".scaled").str(),
                       cast<RankedTensorType>(delta.getType()), {delta, weight},
                       {builder.getMultiDimIdentityMap(2), row},
                       [](OpBuilder &b, Location l, ValueRange in) -> Value {
                         return arith::MulFOp::create(b, l, in[0], in[1]);
                       });
  }

  /// silu(x V^T) U^T of the normed rows x.
  Value writeForecast(StringRef name, Value normed, int64_t rank) {
    startBehind(normed);
    std::string site = (name + ".forecast").str();
    int64_t hidden = cast<RankedTensorType>(normed.getType()).getDimSize(1);
    Value inner = product(site + ".in", normed, site + ".in.weight", rank);
    inner = elementwise(
        site + ".act", cast<RankedTensorType>(inner.getType()), inner,
        builder.getMultiDimIdentityMap(2),
        [](OpBuilder &b, Location l, ValueRange in) -> Value {
          Value one = arith::ConstantOp::create(b, l, b.getF32FloatAttr(1));
          Value e =
              math::ExpOp::create(b, l, arith::NegFOp::create(b, l, in[0]));
          return arith::DivFOp::create(b, l, in[0],
                                       arith::AddFOp::create(b, l, one, e));
        });
    Value result = product(site + ".out", inner, site + ".out.weight", hidden);
    result.getDefiningOp<GemmOp>().setValue(site);
    return result;
  }

private:
  using Body = function_ref<Value(OpBuilder &, Location, ValueRange)>;

  Location loc() { return op.getLoc(); }
  static int64_t rowsOf(Value value) {
    return cast<RankedTensorType>(value.getType()).getDimSize(0);
  }
  void startBehind(Value value) {
    builder.setInsertionPointAfterValue(value);
    rows = tensor::getMixedSize(builder, loc(), value, 0);
  }

  Value makeScores(const std::string &site, Value input, int64_t count) {
    RouterAttr router = op.getRouter();
    if (router.getKind() == RouterKind::Linear) {
      // A site below the router's name, as the others have: what is said of
      // `layers.*.mlp.*` is not said of routers.
      Value scores = product(site + ".out", input, site + ".weight", count);
      scores.getDefiningOp<GemmOp>().setValue(site);
      return scores;
    }
    Value hidden =
        product(site + ".in", input, site + ".in.weight", router.getRank());
    hidden = bias(site + ".in.bias", hidden, site + ".in.bias",
                  /*isRectified=*/router.getKind() == RouterKind::MLP);
    Value scores = product(site + ".out", hidden, site + ".out.weight", count);
    return bias(site, scores, site + ".out.bias", /*isRectified=*/false);
  }

  Value product(const std::string &site, Value input, const std::string &weight,
                int64_t width) {
    auto type = cast<RankedTensorType>(input.getType());
    int64_t k = type.getDimSize(1);
    Value w = load(weight, {width, k}, 1 / std::sqrt(static_cast<double>(k)));
    return GemmOp::create(
        builder, loc(),
        RankedTensorType::get({rowsOf(input), width}, builder.getF32Type()),
        site, input, w);
  }

  /// A named value of f32, element by element.
  Value elementwise(const std::string &site, RankedTensorType type,
                    ValueRange inputs, ArrayRef<AffineMap> inputMaps,
                    Body body) {
    SmallVector<AffineMap> maps(inputMaps);
    maps.push_back(builder.getMultiDimIdentityMap(2));
    Value init = tensor::EmptyOp::create(
        builder, loc(),
        ArrayRef<OpFoldResult>{rows, builder.getIndexAttr(type.getDimSize(1))},
        type.getElementType());
    auto made = linalg::GenericOp::create(
        builder, loc(), type, inputs, init, maps,
        SmallVector<utils::IteratorType>(2, utils::IteratorType::parallel),
        [&](OpBuilder &b, Location l, ValueRange in) {
          linalg::YieldOp::create(b, l, body(b, l, in));
        });
    setSite(made, site);
    return made.getResult(0);
  }

  /// `x + bias`, then, if it is rectified, the larger of that and 0.
  Value bias(const std::string &site, Value input, const std::string &weight,
             bool isRectified) {
    auto type = cast<RankedTensorType>(input.getType());
    Value vector = load(weight, {type.getDimSize(1)}, 0.02);
    AffineMap all = builder.getMultiDimIdentityMap(2),
              column = AffineMap::get(2, 0, builder.getAffineDimExpr(1));
    return elementwise(
        site, type, {input, vector}, {all, column},
        [&](OpBuilder &b, Location l, ValueRange in) -> Value {
          Value added = in[1];
          if (!added.getType().isF32())
            added = arith::ExtFOp::create(b, l, b.getF32Type(), added);
          Value result = arith::AddFOp::create(b, l, in[0], added);
          if (isRectified)
            result = arith::MaximumFOp::create(
                b, l, result,
                arith::ConstantOp::create(b, l, b.getF32FloatAttr(0)));
          return result;
        });
  }

  /// A new weight.
  Value load(const std::string &symbol, ArrayRef<int64_t> shape,
             double stddev) {
    return weights.load(builder, loc(),
                        {symbol, llvm::to_vector(shape), stddev});
  }

  RouteOp op;
  PlannedWeightWriter weights;
  OpBuilder builder;
  OpFoldResult rows;
};
} // namespace

/// What a route's router reads.
Value RoutePlan::findRouted(size_t index, const Decision &decision) const {
  RouteOp op = decision.op;
  if (op.getSameOrder())
    for (size_t other = 0; other < index; ++other)
      if (sublayers[other].layer == sublayers[index].layer)
        return getResidual(sublayers[other]);
  return getResidual(sublayers[index]);
}

/// Writes what the mask keeps of a sublayer.
void RoutePlan::project(const Sublayer &sublayer, const Decision &decision,
                        Value mask) {
  RouteOp op = decision.op;
  auto makeProjection = [&](OpBuilder builder, Value input, Value into) {
    auto made = ProjectByOp::create(builder, op.getLoc(), input.getType(),
                                    sublayer.name, input, mask, into,
                                    /*passed=*/false, IntegerAttr(), SetAttr());
    if (op.getGroupSize()) {
      made.setGroupSize(decision.groupColumns);
      if (!decision.among.isFull())
        made.setAmongAttr(decision.among);
    }
    return made;
  };
  if (op.getReduction()) {
    Value normed = findNormed(sublayer);
    OpBuilder builder(op.getContext());
    builder.setInsertionPointAfterValue(normed);
    ProjectByOp made = makeProjection(builder, normed, Value());
    normed.replaceAllUsesExcept(made, made);
    return;
  }
  if (op.getGroupSize()) {
    OpOperand &input = *getGemmOperands(sublayer.sink).input;
    input.set(
        makeProjection(OpBuilder(input.getOwner()), input.get(), Value()));
    return;
  }
  RouteWriter writer(module, op, getStorage(sublayer), options.openSources);
  Value delta = sublayer.delta->get(), forecast;
  if (op.getScaled())
    delta = writer.writeScaled(sublayer.name, delta, mask);
  if (op.getForecast())
    forecast = writer.writeForecast(sublayer.name, findNormed(sublayer),
                                    static_cast<int64_t>(*op.getForecast()));
  sublayer.delta->set(
      makeProjection(OpBuilder(sublayer.delta->getOwner()), delta, forecast));
}

int64_t RoutePlan::apply() {
  if (decisions.empty())
    return 0;
  // Columns of what is forced for each route, in the order of the model.
  auto routed = llvm::to_vector(llvm::make_first_range(decisions));
  llvm::sort(routed);
  llvm::StringMap<int64_t> columnOf;
  int64_t columns = 0;
  for (size_t index : routed) {
    const Decision &decision = decisions[index];
    if (columnOf.try_emplace(decision.name, columns).second)
      columns += decision.groups;
  }
  auto forward =
      sublayers[routed.front()].residual->getParentOfType<func::FuncOp>();
  auto type = RankedTensorType::get({ShapedType::kDynamic, columns},
                                    IntegerType::get(module.getContext(), 8));
  Builder attributes(module.getContext());
  unsigned position = forward.getNumArguments();
  (void)forward.insertArgument(
      position, type,
      attributes.getDictionaryAttr(attributes.getNamedAttr(
          decoder::kStepAttrName, attributes.getStringAttr("routes"))),
      forward.getLoc());
  Value forced = forward.getArgument(position);

  Value slots;
  for (BlockArgument argument : forward.getArguments())
    if (auto step = forward.getArgAttrOfType<StringAttr>(
            argument.getArgNumber(), decoder::kStepAttrName);
        step && step == "slots")
      slots = argument;
  llvm::StringMap<Value> masks;
  for (size_t index : routed) {
    const Sublayer &sublayer = sublayers[index];
    const Decision &decision = decisions[index];
    Value &mask = masks[decision.name];
    if (!mask)
      mask = RouteWriter(module, decision.op, getStorage(sublayer),
                         options.openSources)
                 .writeDecision(decision.name, findRouted(index, decision),
                                decision.groups, forced,
                                columnOf.lookup(decision.name), slots);
    project(sublayer, decision, mask);
  }
  return static_cast<int64_t>(routed.size());
}
