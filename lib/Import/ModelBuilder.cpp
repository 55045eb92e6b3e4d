// Comes in: the description of a model, and where each weight is found.
// Goes out: the module with `@forward`, one step over a ragged batch.
//
// The residual stream is a row tensor that each sublayer adds to; a layer is
// norm, q/k/v, norms of heads where there are any, rotary, append to the
// caches, attention, o, add; norm, gate/up, silu(gate) * up, down, add. Either
// half may be absent. Everything is emitted where it is used, in order, with
// the names that plans and reports know it by.
#include "coppice/Import/ModelBuilder.h"

#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "runtime/base/concat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>
#include <map>
#include <tuple>

using namespace mlir;

namespace coppice {

static Type storageType(MLIRContext &context, rt::DType dtype) {
  switch (dtype) {
  case rt::DType::F16:
    return Float16Type::get(&context);
  case rt::DType::BF16:
    return BFloat16Type::get(&context);
  default:
    return Float32Type::get(&context);
  }
}

namespace {
class ModelWriter {
public:
  ModelWriter(MLIRContext &context, const ModelDescription &model,
              rt::DType dtype)
      : model(model), builder(&context),
        location(NameLoc::get(builder.getStringAttr(model.name))),
        storage(storageType(context, dtype)) {}

  OwningOpRef<ModuleOp>
  build(const ModelOrigin &origin,
        function_ref<Attribute(const ModelWeight &)> source) {
    OwningOpRef<ModuleOp> owned = ModuleOp::create(
        location, model.name.empty() ? std::optional<StringRef>() : model.name);
    module = *owned;
    module->setAttr(decoder::kModelAttrName, modelAttr(origin));
    module->setAttr(decoder::kRopeAttrName, ropeAttr());
    builder.setInsertionPointToEnd(module.getBody());
    for (const ModelWeight &weight : weightsOf(model)) {
      auto type = RankedTensorType::get(weight.shape, storage);
      auto global = ml_program::GlobalOp::create(
          builder, location, weight.symbol, type, /*is_mutable=*/false,
          ml_program::ExternAttr::get(builder.getContext(), type),
          builder.getStringAttr("private"));
      global->setAttr(decoder::kSourceAttrName, source(weight));
      globals[weight.symbol] = type;
    }
    buildForward();
    if (!model.patterns.empty())
      buildPlan();
    return owned;
  }

private:
  /// A plan that claims the patterns, a decision for each kind of site and
  /// pattern: "layers.{0,3}.mlp.up".
  void buildPlan() {
    std::map<std::tuple<StringRef, int64_t, int64_t>, std::vector<int64_t>>
        claims;
    for (const auto &[site, pattern] : model.patterns) {
      StringRef suffix = site;
      int64_t layer = -1;
      if (suffix.consume_front("layers."))
        suffix.consumeInteger(10, layer);
      auto &layers = claims[{suffix, pattern.kept, pattern.of}];
      if (layer >= 0)
        layers.push_back(layer);
    }
    builder.setInsertionPointToStart(module.getBody());
    auto plan = prune::PlanOp::create(builder, location, "plan");
    builder.setInsertionPointToEnd(&plan.getBody().front());
    for (auto &[claim, layers] : claims) {
      auto [suffix, kept, of] = claim;
      llvm::sort(layers);
      std::string sites;
      for (int64_t layer : layers)
        sites += (sites.empty() ? "" : ",") + std::to_string(layer);
      if (layers.size() == model.layers.size())
        sites = "*";
      else if (layers.size() > 1)
        sites = "{" + sites + "}";
      if (!layers.empty())
        sites = "layers." + sites;
      prune::PatternOp::create(
          builder, location, sites + suffix.str(),
          prune::NMAttr::get(builder.getContext(), kept, of),
          /*by_magnitude=*/false);
    }
  }

  Attribute modelAttr(const ModelOrigin &origin) {
    const LayerDescription widest = widestLayer(model);
    return decoder::ModelAttr::get(
        builder.getContext(), model.name, model.family, model.vocabulary,
        model.hidden, int64_t(model.layers.size()), widest.heads,
        widest.kvHeads, model.headDim, widest.intermediate, model.context,
        storage, model.tied, model.bos, builder.getDenseI64ArrayAttr(model.eos),
        countParameters(model), origin.weights, origin.weightsSha256,
        origin.sourceSha256, origin.tokenizer);
  }

  Attribute ropeAttr() {
    using Kind = RotaryScaling::Kind;
    const RotaryScaling &scaling = model.scaling;
    auto number = [&](double value, bool isThere) {
      return isThere ? builder.getF64FloatAttr(value) : FloatAttr();
    };
    const bool isScaled = scaling.kind != Kind::None;
    const bool isLlama3 = scaling.kind == Kind::Llama3;
    return decoder::RopeAttr::get(builder.getContext(),
                                  builder.getF64FloatAttr(model.rotaryBase),
                                  isLlama3   ? "llama3"
                                  : isScaled ? "linear"
                                             : "",
                                  number(scaling.factor, isScaled),
                                  number(scaling.lowFrequencyFactor, isLlama3),
                                  number(scaling.highFrequencyFactor, isLlama3),
                                  isLlama3 ? scaling.originalContext : 0);
  }

  void buildForward() {
    auto indices =
        RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
    SmallVector<Type> inputs(4, indices), outputs{rows(model.vocabulary)};
    SmallVector<std::string> cacheNames;
    for (auto [i, layer] : llvm::enumerate(model.layers)) {
      if (!layer.hasAttention())
        continue;
      auto cache =
          RankedTensorType::get({ShapedType::kDynamic, ShapedType::kDynamic,
                                 layer.kvHeads * model.headDim},
                                storage);
      inputs.append(2, cache);
      outputs.append(2, cache);
      for (const char *suffix : {".k", ".v"})
        cacheNames.push_back(rt::concat("layers.", i, suffix));
    }

    auto function = func::FuncOp::create(
        builder, location, "forward", builder.getFunctionType(inputs, outputs));
    static constexpr const char *fields[] = {"tokens", "slots", "positions",
                                             "head_rows"};
    for (auto [i, field] : llvm::enumerate(fields))
      function.setArgAttr(i, decoder::kStepAttrName,
                          builder.getStringAttr(field));
    for (auto [i, name] : llvm::enumerate(cacheNames))
      function.setArgAttr(4 + i, decoder::kCacheAttrName,
                          builder.getStringAttr(name));

    Block *entry = function.addEntryBlock();
    builder.setInsertionPointToStart(entry);
    slots = entry->getArgument(1);
    positions = entry->getArgument(2);
    Value headRows = entry->getArgument(3);
    zero = arith::ConstantOp::create(builder, location,
                                     builder.getF32FloatAttr(0));
    rowCount =
        tensor::DimOp::create(builder, location, entry->getArgument(0), 0);
    std::vector<float> frequencies = rotaryFrequencies(model);
    angles = decoder::RotaryTableOp::create(
        builder, location, rows(2 * int64_t(frequencies.size())), "rotary",
        positions, builder.getDenseF32ArrayAttr(frequencies));

    Value table = load("embed.weight");
    Value residual =
        decoder::LookupOp::create(builder, location, rows(model.hidden),
                                  "embed", entry->getArgument(0), table);
    SmallVector<Value> results{Value()}; // the logits come last
    for (auto [i, layer] : llvm::enumerate(model.layers)) {
      if (layer.hasAttention())
        residual = attention(rt::concat("layers.", i, ".attn"), layer, residual,
                             entry->getArgument(3 + results.size()),
                             entry->getArgument(4 + results.size()), results);
      else
        residual = mapResidual(rt::concat("layers.", i, ".attn"), residual,
                               layer.attentionMap);
      if (layer.hasMLP())
        residual = mlp(rt::concat("layers.", i, ".mlp"), layer, residual);
      else
        residual = mapResidual(rt::concat("layers.", i, ".mlp"), residual,
                               layer.mlpMap);
    }
    // Only the rows that were asked for reach the head.
    Value head = decoder::LookupOp::create(
        builder, location, residual.getType(), "head.rows", headRows, residual);
    rowCount = tensor::DimOp::create(builder, location, headRows, 0);
    head = norm("final.norm", head);
    results[0] =
        matmul("lm_head", head, model.tied ? table : load("lm_head.weight"));
    func::ReturnOp::create(builder, location, results);
  }

  /// The residual after the sublayer; appends the updated caches to `caches`.
  Value attention(const std::string &site, const LayerDescription &layer,
                  Value residual, Value keys, Value values,
                  SmallVectorImpl<Value> &caches) {
    Value mapped = mapResidual(site, residual, layer.attentionMap);
    Value x = norm(site + ".norm", residual);
    Value q = rotate(site + ".q", project(site, "q", x));
    Value k = rotate(site + ".k", project(site, "k", x));
    Value v = project(site, "v", x);
    keys = append(site + ".k.append", k, keys);
    values = append(site + ".v.append", v, values);
    caches.append({keys, values});
    Value mixed = decoder::AttentionOp::create(
        builder, location, q.getType(), site + ".core", q, keys, values, slots,
        positions, Value(), Value(), Value(), uint64_t(model.headDim),
        llvm::APFloat(float(1 / std::sqrt(double(model.headDim)))),
        layer.window ? builder.getI64IntegerAttr(layer.window) : IntegerAttr(),
        IntegerAttr(), FloatAttr(), IntegerAttr());
    return add(site, mapped, project(site, "o", mixed));
  }

  Value mlp(const std::string &site, const LayerDescription &layer,
            Value residual) {
    Value mapped = mapResidual(site, residual, layer.mlpMap);
    Value x = norm(site + ".norm", residual);
    Value gate = project(site, "gate", x);
    Value up = project(site, "up", x);
    // silu(gate) * up
    Value inner = elementwise(
        site + ".act", {gate, up},
        [](ImplicitLocOpBuilder &b, ValueRange in) -> Value {
          Value one = arith::ConstantOp::create(b, b.getF32FloatAttr(1));
          Value minus = arith::NegFOp::create(b, in[0]);
          Value divisor =
              arith::AddFOp::create(b, math::ExpOp::create(b, minus), one);
          Value silu = arith::DivFOp::create(b, in[0], divisor);
          return arith::MulFOp::create(b, silu, in[1]);
        });
    return add(site, mapped, project(site, "down", inner));
  }

  /// The residual in the columns of the sum that `site` ends with, as
  /// prune-form-gathers leaves it: ahead of the sublayer and not a part of it.
  Value mapResidual(const std::string &site, Value residual,
                    const ResidualMap &map) {
    if (map.width == 0)
      return residual;
    const std::string name = "residual." + site, table = name + ".columns";
    auto type = RankedTensorType::get({map.width}, builder.getI32Type());
    OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
    ml_program::GlobalOp::create(
        top, location, table, type, /*is_mutable=*/false,
        DenseElementsAttr::get(type, ArrayRef<int32_t>(map.columns)),
        builder.getStringAttr("private"));
    globals[table] = type;
    return prune::GatherOp::create(builder, location, rows(map.width), name,
                                   residual, load(table));
  }

  Value norm(const std::string &site, Value input) {
    auto width = cast<RankedTensorType>(input.getType()).getDimSize(1);
    return normOf(site, input, model.normWidth ? model.normWidth : width,
                  IntegerAttr());
  }

  Value normOf(const std::string &site, Value input, int64_t divisor,
               IntegerAttr headDim) {
    return decoder::RMSNormOp::create(
        builder, location, input.getType(), builder.getStringAttr(site), input,
        load(site + ".weight"), Value(), Value(),
        builder.getF32FloatAttr(float(model.epsilon)),
        builder.getI64IntegerAttr(divisor), headDim);
  }

  /// Queries or keys as attention meets them.
  Value rotate(const std::string &site, Value input) {
    if (model.qkNorm)
      input = normOf(site + ".norm", input, model.headDim,
                     builder.getI64IntegerAttr(model.headDim));
    return decoder::RotaryOp::create(builder, location, input.getType(),
                                     site + ".rotary", input, angles, Value(),
                                     Value(), uint64_t(model.headDim));
  }

  Value append(const std::string &site, Value row, Value cache) {
    return decoder::AppendOp::create(builder, location, cache.getType(), site,
                                     row, cache, slots, positions);
  }

  /// A GEMM site of a sublayer, behind that of its second factor where it has
  /// two, with its bias where it has one.
  Value project(const std::string &sublayer, const char *name, Value input) {
    std::string site = sublayer + "." + name;
    if (globals.contains(site + ".v.weight"))
      input = matmul(site + ".v", input, load(site + ".v.weight"));
    Value product = matmul(site, input, load(site + ".weight"));
    if (!globals.contains(site + ".bias"))
      return product;
    return elementwise(site + ".bias", {product, load(site + ".bias")},
                       [](ImplicitLocOpBuilder &b, ValueRange in) -> Value {
                         Value bias = in[1];
                         if (!bias.getType().isF32())
                           bias =
                               arith::ExtFOp::create(b, b.getF32Type(), bias);
                         return arith::AddFOp::create(b, in[0], bias);
                       });
  }

  Value add(const std::string &site, Value residual, Value delta) {
    return elementwise(site, {residual, delta},
                       [](ImplicitLocOpBuilder &b, ValueRange in) -> Value {
                         return arith::AddFOp::create(b, in[0], in[1]);
                       });
  }

  /// C[m, n] = sum_k A[m, k] W[n, k]
  Value matmul(const std::string &site, Value input, Value weight) {
    int64_t width = cast<RankedTensorType>(weight.getType()).getDimSize(0);
    Value target = linalg::FillOp::create(builder, location, zero, empty(width))
                       .getResult(0);
    return linalg::MatmulTransposeBOp::create(
               builder, location, target.getType(), ValueRange{input, weight},
               ValueRange{target}, siteAttr(site))
        ->getResult(0);
  }

  /// One value from each element of row tensors; an operand of rank 1 is the
  /// same in all rows.
  Value
  elementwise(const std::string &site, ValueRange operands,
              function_ref<Value(ImplicitLocOpBuilder &, ValueRange)> body) {
    auto type = cast<RankedTensorType>(operands[0].getType());
    SmallVector<AffineMap> maps;
    for (Value operand : operands)
      maps.push_back(cast<RankedTensorType>(operand.getType()).getRank() == 1
                         ? AffineMap::get(2, 0, builder.getAffineDimExpr(1))
                         : builder.getMultiDimIdentityMap(2));
    maps.push_back(builder.getMultiDimIdentityMap(2));
    SmallVector<utils::IteratorType> iterators(2,
                                               utils::IteratorType::parallel);
    return linalg::GenericOp::create(
               builder, location, type, operands, empty(type.getDimSize(1)),
               maps, iterators,
               [&](OpBuilder &b, Location, ValueRange in) {
                 ImplicitLocOpBuilder inner(location, b);
                 linalg::YieldOp::create(inner, body(inner, in));
               },
               siteAttr(site))
        .getResult(0);
  }

  RankedTensorType rows(int64_t width) {
    return RankedTensorType::get({ShapedType::kDynamic, width},
                                 builder.getF32Type());
  }

  /// A destination with as many rows as the step (later: as the head) has.
  Value empty(int64_t width) {
    return tensor::EmptyOp::create(builder, location, rows(width), rowCount);
  }

  Value load(const std::string &symbol) {
    return ml_program::GlobalLoadConstOp::create(
        builder, location, globals.at(symbol),
        SymbolRefAttr::get(builder.getContext(), symbol));
  }

  /// `prune.site`: the name of a linalg op of the model.
  SmallVector<NamedAttribute> siteAttr(const std::string &site) {
    return {builder.getNamedAttr("prune.site", builder.getStringAttr(site))};
  }

  const ModelDescription &model;
  ModuleOp module;
  OpBuilder builder;
  Location location;
  Type storage;
  llvm::StringMap<Type> globals;
  Value slots, positions, angles, zero, rowCount;
};
} // namespace

OwningOpRef<ModuleOp>
buildModel(MLIRContext &context, const ModelDescription &model, rt::DType dtype,
           const ModelOrigin &origin,
           function_ref<Attribute(const ModelWeight &)> source) {
  context.loadDialect<arith::ArithDialect, decoder::DecoderDialect,
                      func::FuncDialect, linalg::LinalgDialect,
                      math::MathDialect, ml_program::MLProgramDialect,
                      prune::PruneDialect, tensor::TensorDialect>();
  return ModelWriter(context, model, dtype).build(origin, source);
}

} // namespace coppice
