// In: decisions that leave rows of sublayers to routers. Out: for each router
// its products, `prune.decide`, and a `prune.project_by` on what the sublayers
// of the route add to the residual; and one argument of the function for all
// decisions that are forced from outside.
#include "RoutePlan.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/StringSet.h"
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

/// What weights of the sublayer are stored as: those of its router, too.
static Type getStorage(const Sublayer &sublayer) {
  if (sublayer.sink)
    return getElementTypeOrSelf(getGemmOperands(sublayer.sink).weight->get());
  return Float32Type::get(sublayer.delta->get().getContext());
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

LogicalResult RoutePlan::read(RouteOp op, ArrayRef<size_t> indices,
                              bool isLayer) {
  for (size_t index : indices) {
    const Sublayer &sublayer = sublayers[index];
    Decision decision{op, isLayer
                              ? parseLayerSite(sublayer.name)->layerName.str()
                              : sublayer.name};
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
    if (op.getFile() && failed(checkFile(op, sublayer, decision.name)))
      return failure();
    decisions[index] = decision;
  }
  return success();
}

/// Names and shapes of a router's weights.
SmallVector<std::pair<std::string, SmallVector<int64_t>>>
RoutePlan::weightsOf(RouteOp op, StringRef name, int64_t hidden) {
  std::string router = (name + ".router").str();
  int64_t rank = op.getRouter().getRank();
  if (op.getRouter().getKind() == RouterKind::Linear)
    return {{router + ".weight", {2, hidden}}};
  return {{router + ".in.weight", {rank, hidden}},
          {router + ".in.bias", {rank}},
          {router + ".out.weight", {2, rank}},
          {router + ".out.bias", {2}}};
}

LogicalResult RoutePlan::checkFile(RouteOp op, const Sublayer &sublayer,
                                   StringRef name) {
  std::string file = resolvePlanPath(op, *op.getFile(), options.directory);
  for (auto &[key, expected] : weightsOf(op, name, getHidden(sublayer))) {
    auto shape = files.find(
        file, key, getStorage(sublayer), [&] { return op.emitOpError(); },
        expected.size());
    if (failed(shape))
      return failure();
    if (*shape != expected)
      return op.emitOpError()
             << "'" << key << "' of '" << file << "': expected the shape ["
             << expected << "], found [" << *shape << "]";
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

namespace {
/// Writes one router and its decision.
class RouterWriter {
public:
  RouterWriter(ModuleOp module, RouteOp op, StringRef name, bool openSources)
      : symbols(module), op(op), name(name.str()), openSources(openSources),
        builder(op.getContext()) {}

  /// The mask of the rows of `input`, right behind it.
  Value write(Value input, Type storage, Value forced, int64_t column) {
    this->storage = storage;
    builder.setInsertionPointAfterValue(input);
    rows = tensor::getMixedSize(builder, loc(), input, 0);
    Value scores = makeScores(input);
    auto type = RankedTensorType::get({rowsOf(input), 1}, builder.getI8Type());
    return DecideOp::create(builder, loc(), type, name + ".route", scores,
                            forced, static_cast<uint64_t>(column),
                            op.getExpected());
  }

private:
  Location loc() { return op.getLoc(); }
  static int64_t rowsOf(Value value) {
    return cast<RankedTensorType>(value.getType()).getDimSize(0);
  }

  Value makeScores(Value input) {
    std::string site = name + ".router";
    RouterAttr router = op.getRouter();
    if (router.getKind() == RouterKind::Linear) {
      // A site below the router's name, as the others have: what is said of
      // `layers.*.mlp.*` is not said of routers.
      Value scores = product(site + ".out", input, site + ".weight", 2);
      scores.getDefiningOp<GemmOp>().setValue(site);
      return scores;
    }
    Value hidden =
        product(site + ".in", input, site + ".in.weight", router.getRank());
    hidden = bias(site + ".in.bias", hidden, site + ".in.bias",
                  /*isRectified=*/router.getKind() == RouterKind::MLP);
    Value scores = product(site + ".out", hidden, site + ".out.weight", 2);
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

  /// `x + bias`, then, if it is rectified, the larger of that and 0.
  Value bias(const std::string &site, Value input, const std::string &weight,
             bool isRectified) {
    auto type = cast<RankedTensorType>(input.getType());
    Value vector = load(weight, {type.getDimSize(1)}, 0.02);
    AffineMap all = builder.getMultiDimIdentityMap(2),
              column = AffineMap::get(2, 0, builder.getAffineDimExpr(1));
    Value init = tensor::EmptyOp::create(
        builder, loc(),
        ArrayRef<OpFoldResult>{rows, builder.getIndexAttr(type.getDimSize(1))},
        type.getElementType());
    auto sum = linalg::GenericOp::create(
        builder, loc(), type, ValueRange{input, vector}, init,
        ArrayRef<AffineMap>{all, column, all},
        SmallVector<utils::IteratorType>(2, utils::IteratorType::parallel),
        [&](OpBuilder &b, Location l, ValueRange in) {
          Value added = in[1];
          if (!added.getType().isF32())
            added = arith::ExtFOp::create(b, l, b.getF32Type(), added);
          Value result = arith::AddFOp::create(b, l, in[0], added);
          if (isRectified)
            result = arith::MaximumFOp::create(
                b, l, result,
                arith::ConstantOp::create(b, l, b.getF32FloatAttr(0)));
          linalg::YieldOp::create(b, l, result);
        });
    setSite(sum, site);
    return sum.getResult(0);
  }

  /// A new weight, from the plan's file or generated.
  Value load(const std::string &symbol, ArrayRef<int64_t> shape,
             double stddev) {
    MLIRContext *context = op.getContext();
    auto type = RankedTensorType::get(shape, storage);
    OpBuilder top(context);
    auto global = ml_program::GlobalOp::create(
        top, loc(), symbol, type, /*is_mutable=*/false,
        ml_program::ExternAttr::get(context, type),
        top.getStringAttr("private"));
    // Behind those that are there, ahead of the functions.
    auto module = cast<ModuleOp>(symbols.getOp());
    Block::iterator at = module.getBody()->begin();
    for (Operation &other : *module.getBody())
      if (isa<ml_program::GlobalOp>(other))
        at = std::next(other.getIterator());
    symbols.insert(global, at);
    Attribute source;
    if (op.getFile())
      source = decoder::FileAttr::get(context, *op.getFile(), symbol,
                                      DenseI64ArrayAttr());
    else if (!openSources)
      source =
          decoder::GeneratedAttr::get(context, findSeed(), symbol, stddev, 0.0);
    if (source)
      global->setDiscardableAttr(decoder::kSourceAttrName, source);
    return ml_program::GlobalLoadConstOp::create(
        builder, loc(), type, FlatSymbolRefAttr::get(global.getSymNameAttr()));
  }

  /// That of the model's weights, if they are generated too.
  uint64_t findSeed() {
    for (auto global :
         cast<ModuleOp>(symbols.getOp()).getOps<ml_program::GlobalOp>())
      if (auto generated = global->getAttrOfType<decoder::GeneratedAttr>(
              decoder::kSourceAttrName))
        return generated.getSeed();
    return 0;
  }

  SymbolTable symbols;
  RouteOp op;
  std::string name;
  bool openSources;
  OpBuilder builder;
  Type storage;
  OpFoldResult rows;
};
} // namespace

int64_t RoutePlan::apply() {
  if (decisions.empty())
    return 0;
  // One column of what is forced for each route, in the order of the model.
  llvm::StringSet<> names;
  for (auto &[index, decision] : decisions)
    names.insert(decision.name);
  auto routed = llvm::to_vector(llvm::make_first_range(decisions));
  llvm::sort(routed);
  auto forward =
      sublayers[routed.front()].residual->getParentOfType<func::FuncOp>();
  auto type = RankedTensorType::get(
      {ShapedType::kDynamic, static_cast<int64_t>(names.size())},
      IntegerType::get(module.getContext(), 8));
  Builder attributes(module.getContext());
  unsigned position = forward.getNumArguments();
  (void)forward.insertArgument(
      position, type,
      attributes.getDictionaryAttr(attributes.getNamedAttr(
          decoder::kStepAttrName, attributes.getStringAttr("routes"))),
      forward.getLoc());
  Value forced = forward.getArgument(position);

  llvm::StringMap<Value> masks;
  int64_t column = 0;
  for (size_t index : routed) {
    const Sublayer &sublayer = sublayers[index];
    Decision decision = decisions[index];
    Value &mask = masks[decision.name];
    if (!mask)
      mask =
          RouterWriter(module, decision.op, decision.name, options.openSources)
              .write(getResidual(sublayer), getStorage(sublayer), forced,
                     column++);
    OpBuilder builder(sublayer.residual);
    Value delta = sublayer.delta->get();
    sublayer.delta->set(ProjectByOp::create(builder, decision.op.getLoc(),
                                            delta.getType(), sublayer.name,
                                            delta, mask, Value()));
  }
  return static_cast<int64_t>(routed.size());
}
