// Comes in: the description of a Llama, and where each weight is found.
// Goes out: the module with `@forward`, one step over a ragged batch.
//
// The residual stream is a row tensor that each sublayer adds to; a layer is
// norm, q/k/v, rotary, append to the caches, attention, o, add; norm, gate/up,
// silu(gate) * up, down, add. Everything is emitted where it is used, in order,
// with the names that plans and reports know it by.
#include "coppice/Import/LlamaModel.h"

#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "runtime/base/checked.h"
#include "runtime/base/concat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>
#include <numbers>

using namespace mlir;

namespace coppice {

//===----------------------------------------------------------------------===//
// Description
//===----------------------------------------------------------------------===//

// Far above any model, and low enough that listing the weights of a model whose
// description is a lie takes no time.
static constexpr int64_t maxLayers = 4096;
static constexpr int64_t maxExtent = (int64_t(1) << 31) - 1;

static rt::Status checkExtent(const char *what, int64_t value,
                              int64_t most = maxExtent) {
  if (value >= 1 && value <= most)
    return {};
  return rt::invalidFile(
      rt::concat("expected ", what, " from 1 to ", most, ", found ", value));
}

static rt::Status checkNumber(const char *what, double value, double least) {
  if (std::isfinite(value) && value >= least)
    return {};
  return rt::invalidFile(rt::concat("expected a finite ", what, " of at least ",
                                    least, ", found ", value));
}

static rt::Status checkRotary(const LlamaDescription &model) {
  if (model.headDim % 2 != 0)
    return rt::invalidFile(
        rt::concat("expected an even size of a head (rotary embedding turns "
                   "pairs of columns), found ",
                   model.headDim));
  if (auto s = checkNumber("rotary base", model.rotaryBase, 1); !s.ok())
    return s;
  const RotaryScaling &scaling = model.scaling;
  if (scaling.kind == RotaryScaling::Kind::None)
    return {};
  if (auto s = checkNumber("rotary scaling factor", scaling.factor, 1); !s.ok())
    return s;
  if (scaling.kind == RotaryScaling::Kind::Linear)
    return {};
  if (!(scaling.lowFrequencyFactor > 0 &&
        scaling.highFrequencyFactor > scaling.lowFrequencyFactor &&
        std::isfinite(scaling.highFrequencyFactor)))
    return rt::invalidFile(rt::concat(
        "expected rotary scaling with 0 < low_freq_factor < high_freq_factor, "
        "found ",
        scaling.lowFrequencyFactor, " and ", scaling.highFrequencyFactor));
  return checkExtent("original context of the rotary scaling",
                     scaling.originalContext);
}

static rt::Status checkTokens(const LlamaDescription &model) {
  if (model.bos < -1 || model.bos >= model.vocabulary)
    return rt::invalidFile(rt::concat("expected a first token (bos) below the "
                                      "vocabulary of ",
                                      model.vocabulary, ", found ", model.bos));
  for (int64_t token : model.eos)
    if (token < 0 || token >= model.vocabulary)
      return rt::invalidFile(
          rt::concat("expected a last token (eos) below the vocabulary of ",
                     model.vocabulary, ", found ", token));
  return {};
}

static rt::Status checkWeightSizes(const LlamaDescription &model) {
  // Each weight below 2^50 elements keeps every sum and byte count in 64 bits:
  // there are fewer than 2^4 * maxLayers + 3 of them.
  constexpr int64_t most = int64_t(1) << 44;
  const int64_t q = model.heads * model.headDim; // both below 2^31
  for (int64_t width :
       {model.vocabulary, model.intermediate, q, model.kvHeads * model.headDim})
    if (auto size = rt::checkedMul(width, model.hidden); !size || *size > most)
      return rt::invalidFile(
          rt::concat("expected weights of at most 2^44 elements, found ", width,
                     " by ", model.hidden));
  return {};
}

rt::Status checkDescription(const LlamaDescription &model) {
  const std::pair<const char *, int64_t> extents[] = {
      {"vocabulary size", model.vocabulary},
      {"hidden size", model.hidden},
      {"intermediate size", model.intermediate},
      {"number of heads", model.heads},
      {"number of KV heads", model.kvHeads},
      {"size of a head", model.headDim},
      {"context length", model.context}};
  for (auto [what, value] : extents)
    if (auto s = checkExtent(what, value); !s.ok())
      return s;
  if (auto s = checkExtent("number of layers", model.layers, maxLayers);
      !s.ok())
    return s;
  if (model.heads % model.kvHeads != 0)
    return rt::invalidFile(rt::concat(
        "expected a number of heads that is a multiple of the KV heads, found ",
        model.heads, " heads and ", model.kvHeads, " KV heads"));
  if (auto s = checkRotary(model); !s.ok())
    return s;
  if (auto s = checkNumber("epsilon of the norms", model.epsilon, 0); !s.ok())
    return s;
  if (auto s = checkTokens(model); !s.ok())
    return s;
  return checkWeightSizes(model);
}

namespace {
/// A GEMM site of a layer: its name here and in Hugging Face files.
struct Projection {
  const char *site, *key;
};
} // namespace

static constexpr Projection projections[] = {
    {"attn.q", "self_attn.q_proj"}, {"attn.k", "self_attn.k_proj"},
    {"attn.v", "self_attn.v_proj"}, {"attn.o", "self_attn.o_proj"},
    {"mlp.gate", "mlp.gate_proj"},  {"mlp.up", "mlp.up_proj"},
    {"mlp.down", "mlp.down_proj"}};

/// [outputs, inputs] of a GEMM site of a layer, and whether it has a bias.
static std::tuple<int64_t, int64_t, bool> shapeOf(const LlamaDescription &model,
                                                  StringRef site) {
  const int64_t q = model.heads * model.headDim;
  const int64_t kv = model.kvHeads * model.headDim;
  if (site == "attn.q")
    return {q, model.hidden, model.qkvBias};
  if (site == "attn.k" || site == "attn.v")
    return {kv, model.hidden, model.qkvBias};
  if (site == "attn.o")
    return {model.hidden, q, model.outputBias};
  if (site == "mlp.down")
    return {model.hidden, model.intermediate, model.mlpBias};
  return {model.intermediate, model.hidden, model.mlpBias};
}

std::vector<LlamaWeight> weightsOf(const LlamaDescription &model) {
  using Kind = LlamaWeight::Kind;
  std::vector<LlamaWeight> weights;
  weights.push_back({"embed.weight",
                     "model.embed_tokens.weight",
                     {model.vocabulary, model.hidden},
                     Kind::Matrix});
  for (int64_t layer = 0; layer < model.layers; ++layer) {
    std::string prefix = rt::concat("layers.", layer, ".");
    auto add = [&](const std::string &symbol, const std::string &key,
                   std::vector<int64_t> shape, Kind kind) {
      weights.push_back(
          {prefix + symbol, "model." + prefix + key, std::move(shape), kind});
    };
    for (const Projection &projection : projections) {
      std::string site = projection.site, key = projection.key;
      if (site == "attn.q")
        add("attn.norm.weight", "input_layernorm.weight", {model.hidden},
            Kind::Gain);
      if (site == "mlp.gate")
        add("mlp.norm.weight", "post_attention_layernorm.weight",
            {model.hidden}, Kind::Gain);
      auto [outputs, inputs, bias] = shapeOf(model, site);
      add(site + ".weight", key + ".weight", {outputs, inputs}, Kind::Matrix);
      if (bias)
        add(site + ".bias", key + ".bias", {outputs}, Kind::Bias);
    }
  }
  weights.push_back(
      {"final.norm.weight", "model.norm.weight", {model.hidden}, Kind::Gain});
  if (!model.tied)
    weights.push_back({"lm_head.weight",
                       "lm_head.weight",
                       {model.vocabulary, model.hidden},
                       Kind::Matrix});
  return weights;
}

int64_t countParameters(const LlamaDescription &model) {
  int64_t count = 0;
  for (const LlamaWeight &weight : weightsOf(model)) {
    int64_t elements = 1;
    for (int64_t extent : weight.shape)
      elements *= extent;
    count += elements;
  }
  return count;
}

/// Frequency after the stretching of Llama 3.1 (its model card's
/// `apply_scaling`).
static double scaleLlama3(double frequency, const RotaryScaling &scaling) {
  double turns =
      double(scaling.originalContext) * frequency / (2 * std::numbers::pi);
  double share = (turns - scaling.lowFrequencyFactor) /
                 (scaling.highFrequencyFactor - scaling.lowFrequencyFactor);
  share = std::clamp(share, 0.0, 1.0);
  return frequency * (share + (1 - share) / scaling.factor);
}

std::vector<float> rotaryFrequencies(const LlamaDescription &model) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < model.headDim / 2; ++i) {
    double frequency =
        std::pow(model.rotaryBase, -2.0 * double(i) / double(model.headDim));
    if (model.scaling.kind == RotaryScaling::Kind::Linear)
      frequency /= model.scaling.factor;
    if (model.scaling.kind == RotaryScaling::Kind::Llama3)
      frequency = scaleLlama3(frequency, model.scaling);
    frequencies.push_back(float(frequency));
  }
  return frequencies;
}

//===----------------------------------------------------------------------===//
// Module
//===----------------------------------------------------------------------===//

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
class LlamaBuilder {
public:
  LlamaBuilder(MLIRContext &context, const LlamaDescription &model,
               rt::DType dtype)
      : model(model), builder(&context),
        location(NameLoc::get(builder.getStringAttr(model.name))),
        storage(storageType(context, dtype)) {}

  OwningOpRef<ModuleOp>
  build(const ModelOrigin &origin,
        function_ref<Attribute(const LlamaWeight &)> source) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(
        location, model.name.empty() ? std::optional<StringRef>() : model.name);
    (*module)->setAttr(decoder::kModelAttrName, modelAttr(origin));
    builder.setInsertionPointToEnd(module->getBody());
    for (const LlamaWeight &weight : weightsOf(model)) {
      auto type = RankedTensorType::get(weight.shape, storage);
      auto global = ml_program::GlobalOp::create(
          builder, location, weight.symbol, type, /*is_mutable=*/false,
          ml_program::ExternAttr::get(builder.getContext(), type),
          builder.getStringAttr("private"));
      global->setAttr(decoder::kSourceAttrName, source(weight));
      globals[weight.symbol] = type;
    }
    buildForward();
    return module;
  }

private:
  Attribute modelAttr(const ModelOrigin &origin) {
    return decoder::ModelAttr::get(
        builder.getContext(), model.name, model.family, model.vocabulary,
        model.hidden, model.layers, model.heads, model.kvHeads, model.headDim,
        model.intermediate, model.context, storage, model.tied, model.bos,
        builder.getDenseI64ArrayAttr(model.eos), countParameters(model),
        origin.weights, origin.weightsSha256, origin.sourceSha256,
        origin.tokenizer);
  }

  void buildForward() {
    const int64_t kv = model.kvHeads * model.headDim;
    auto indices =
        RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
    auto cache = RankedTensorType::get(
        {ShapedType::kDynamic, ShapedType::kDynamic, kv}, storage);
    SmallVector<Type> inputs(4, indices), outputs{rows(model.vocabulary)};
    inputs.append(2 * model.layers, cache);
    outputs.append(2 * model.layers, cache);

    auto function = func::FuncOp::create(
        builder, location, "forward", builder.getFunctionType(inputs, outputs));
    static constexpr const char *fields[] = {"tokens", "slots", "positions",
                                             "head_rows"};
    for (auto [i, field] : llvm::enumerate(fields))
      function.setArgAttr(i, decoder::kStepAttrName,
                          builder.getStringAttr(field));
    for (int64_t layer = 0; layer < model.layers; ++layer)
      for (int64_t i : {0, 1})
        function.setArgAttr(4 + 2 * layer + i, decoder::kCacheAttrName,
                            builder.getStringAttr(rt::concat(
                                "layers.", layer, i == 0 ? ".k" : ".v")));

    Block *entry = function.addEntryBlock();
    builder.setInsertionPointToStart(entry);
    slots = entry->getArgument(1);
    positions = entry->getArgument(2);
    Value headRows = entry->getArgument(3);
    zero = arith::ConstantOp::create(builder, location,
                                     builder.getF32FloatAttr(0));
    rowCount =
        tensor::DimOp::create(builder, location, entry->getArgument(0), 0);
    angles = decoder::RotaryTableOp::create(
        builder, location, rows(2 * (model.headDim / 2)), "rotary", positions,
        builder.getDenseF32ArrayAttr(rotaryFrequencies(model)));

    Value table = load("embed.weight");
    Value residual =
        decoder::LookupOp::create(builder, location, rows(model.hidden),
                                  "embed", entry->getArgument(0), table);
    SmallVector<Value> results{Value()}; // the logits come last
    for (int64_t layer = 0; layer < model.layers; ++layer) {
      residual = attention(rt::concat("layers.", layer, ".attn"), residual,
                           entry->getArgument(4 + 2 * layer),
                           entry->getArgument(5 + 2 * layer), results);
      residual = mlp(rt::concat("layers.", layer, ".mlp"), residual);
    }
    // Only the rows that were asked for reach the head.
    Value head = decoder::LookupOp::create(
        builder, location, rows(model.hidden), "head.rows", headRows, residual);
    rowCount = tensor::DimOp::create(builder, location, headRows, 0);
    head = norm("final.norm", head);
    results[0] =
        matmul("lm_head", head, model.tied ? table : load("lm_head.weight"));
    func::ReturnOp::create(builder, location, results);
  }

  /// The residual after the sublayer; appends the updated caches to `caches`.
  Value attention(const std::string &site, Value residual, Value keys,
                  Value values, SmallVectorImpl<Value> &caches) {
    Value x = norm(site + ".norm", residual);
    Value q = rotate(site + ".q.rotary", project(site, "q", x));
    Value k = rotate(site + ".k.rotary", project(site, "k", x));
    Value v = project(site, "v", x);
    keys = append(site + ".k.append", k, keys);
    values = append(site + ".v.append", v, values);
    caches.append({keys, values});
    Value mixed = decoder::AttentionOp::create(
        builder, location, q.getType(), site + ".core", q, keys, values, slots,
        positions, uint64_t(model.headDim),
        llvm::APFloat(float(1 / std::sqrt(double(model.headDim)))),
        /*window=*/IntegerAttr());
    return add(site, residual, project(site, "o", mixed));
  }

  Value mlp(const std::string &site, Value residual) {
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
    return add(site, residual, project(site, "down", inner));
  }

  Value norm(const std::string &site, Value input) {
    return decoder::RMSNormOp::create(
        builder, location, input.getType(), site, input, load(site + ".weight"),
        llvm::APFloat(float(model.epsilon)), uint64_t(model.hidden));
  }

  Value rotate(const std::string &site, Value input) {
    return decoder::RotaryOp::create(builder, location, input.getType(), site,
                                     input, angles, uint64_t(model.headDim));
  }

  Value append(const std::string &site, Value row, Value cache) {
    return decoder::AppendOp::create(builder, location, cache.getType(), site,
                                     row, cache, slots, positions);
  }

  /// A GEMM site of a sublayer, with its bias where it has one.
  Value project(const std::string &sublayer, const char *name, Value input) {
    std::string site = sublayer + "." + name;
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

  const LlamaDescription &model;
  OpBuilder builder;
  Location location;
  Type storage;
  llvm::StringMap<Type> globals;
  Value slots, positions, angles, zero, rowCount;
};
} // namespace

OwningOpRef<ModuleOp>
buildLlama(MLIRContext &context, const LlamaDescription &model, rt::DType dtype,
           const ModelOrigin &origin,
           function_ref<Attribute(const LlamaWeight &)> source) {
  context
      .loadDialect<arith::ArithDialect, decoder::DecoderDialect,
                   func::FuncDialect, linalg::LinalgDialect, math::MathDialect,
                   ml_program::MLProgramDialect, tensor::TensorDialect>();
  return LlamaBuilder(context, model, dtype).build(origin, source);
}

} // namespace coppice
