// Checks of a description, and what follows from it: the weights with their
// names and shapes, the number of parameters, the rotary frequencies.
#include "coppice/Import/ModelDescription.h"

#include "runtime/base/checked.h"
#include "runtime/base/concat.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <set>
#include <tuple>

namespace coppice {

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

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

rt::Status setLayers(ModelDescription &model, int64_t count,
                     const LayerDescription &layer) {
  if (auto s = checkExtent("number of layers", count, maxLayers); !s.ok())
    return s;
  model.layers.assign(size_t(count), layer);
  return {};
}

static rt::Status checkRotary(const ModelDescription &model) {
  if (model.headDim % 2 != 0)
    return rt::invalidFile(
        rt::concat("expected an even size of a head (rotary embedding turns "
                   "pairs of columns), found ",
                   model.headDim));
  if (model.rotaryDim < 0 || model.rotaryDim > model.headDim ||
      model.rotaryDim % 2 != 0)
    return rt::invalidFile(
        rt::concat("expected an even number of columns that rotary embedding "
                   "turns, of the ",
                   model.headDim, " of a head, found ", model.rotaryDim));
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

static rt::Status checkTokens(const ModelDescription &model) {
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

/// Each weight below 2^44 elements keeps every sum and byte count in 64 bits:
/// there are fewer than 2^4 * maxLayers matrices, factors counted singly.
static rt::Status checkWeightSize(int64_t width, int64_t hidden) {
  constexpr int64_t most = int64_t(1) << 44;
  if (auto size = rt::checkedMul(width, hidden); !size || *size > most)
    return rt::invalidFile(
        rt::concat("expected weights of at most 2^44 elements, found ", width,
                   " by ", hidden));
  return {};
}

static rt::Status checkAttention(const ModelDescription &model,
                                 const LayerDescription &layer) {
  if (auto s = checkExtent("number of heads", layer.heads); !s.ok())
    return s;
  if (auto s = checkExtent("number of KV heads", layer.kvHeads); !s.ok())
    return s;
  if (layer.heads % layer.kvHeads != 0)
    return rt::invalidFile(rt::concat(
        "expected a number of heads that is a multiple of the KV heads, found ",
        layer.heads, " heads and ", layer.kvHeads, " KV heads"));
  if (layer.window < 0 || layer.window > maxExtent)
    return rt::invalidFile(rt::concat("expected a window from 1 to ", maxExtent,
                                      " positions, found ", layer.window));
  return {};
}

/// Which rank pays is for others to say; here a factor must be no monster.
static rt::Status checkRanks(const ModelDescription &model,
                             const LayerDescription &layer) {
  for (auto [site, rank] : rankedProjections) {
    const int64_t value = layer.ranks.*rank;
    if (value == 0)
      continue;
    const bool isAttention = std::string_view(site).starts_with("attn.");
    if (isAttention ? !layer.hasAttention() : !layer.hasMLP())
      return rt::invalidFile(rt::concat("expected no rank of ", site,
                                        " in a layer without it, found ",
                                        value));
    if (auto s = checkExtent("rank", value); !s.ok())
      return s;
    for (int64_t width : {layer.heads * model.headDim, layer.intermediate})
      if (auto s = checkWeightSize(value, width); !s.ok())
        return s;
  }
  return {};
}

/// A map from a residual of `before` columns.
static rt::Status checkResidualMap(const ResidualMap &map, int64_t before) {
  if (map.width == 0)
    return {};
  if (auto s = checkExtent("width of the residual", map.width); !s.ok())
    return s;
  if (map.columns.empty()) // not read yet
    return {};
  int64_t last = -1;
  for (int32_t column : map.columns) {
    if (column == -1)
      continue;
    if (column <= last || column >= before)
      return rt::invalidFile(rt::concat(
          "expected the columns of a residual map to ascend below ", before,
          " (or to be -1), found ", column, " behind ", last));
    last = column;
  }
  return {};
}

/// The widths of the residual stream, and the weights that they make.
static rt::Status checkResiduals(const ModelDescription &model) {
  int64_t width = model.hidden;
  auto check = [&](const ResidualMap &map, int64_t inner) -> rt::Status {
    if (auto s = checkResidualMap(map, width); !s.ok())
      return s;
    const int64_t before = width;
    if (map.width)
      width = map.width;
    return checkWeightSize(inner, std::max(width, before));
  };
  for (const LayerDescription &layer : model.layers) {
    const LayerRanks &r = layer.ranks;
    if (auto s =
            check(layer.attentionMap,
                  std::max({layer.heads * model.headDim, r.q, r.k, r.v, r.o}));
        !s.ok())
      return s;
    if (auto s = check(layer.mlpMap,
                       std::max({layer.intermediate, r.gate, r.up, r.down}));
        !s.ok())
      return s;
  }
  if (model.normWidth != 0)
    if (auto s = checkExtent("width of the norms", model.normWidth); !s.ok())
      return s;
  return checkWeightSize(model.vocabulary, std::max(model.hidden, width));
}

/// The other sizes have been checked: weights can be listed.
static rt::Status checkPatterns(const ModelDescription &model) {
  if (model.patterns.empty())
    return {};
  std::set<std::string> matrices;
  for (const ModelWeight &weight : weightsOf(model))
    if (weight.kind == ModelWeight::Kind::Matrix)
      matrices.insert(weight.symbol);
  for (const auto &[site, pattern] : model.patterns) {
    // A tied head has a pattern only where it is a tensor of its own.
    if (site == "embed" || !matrices.contains(site + ".weight"))
      return rt::invalidFile(
          rt::concat("expected patterns of matrices of the model, such as "
                     "'layers.0.mlp.up', found one of '",
                     site, "'"));
    constexpr int64_t longest = 1024; // as in plans
    if (pattern.kept < 1 || pattern.kept > pattern.of || pattern.of > longest)
      return rt::invalidFile(rt::concat(
          "expected a pattern N:M with 1 <= N <= M <= ", longest, " for '",
          site, "', found ", pattern.kept, ":", pattern.of));
  }
  return {};
}

rt::Status checkDescription(const ModelDescription &model) {
  const std::pair<const char *, int64_t> extents[] = {
      {"vocabulary size", model.vocabulary},
      {"hidden size", model.hidden},
      {"size of a head", model.headDim},
      {"context length", model.context}};
  for (auto [what, value] : extents)
    if (auto s = checkExtent(what, value); !s.ok())
      return s;
  if (auto s = checkExtent("number of layers", int64_t(model.layers.size()),
                           maxLayers);
      !s.ok())
    return s;
  for (const LayerDescription &layer : model.layers) {
    if (layer.heads != 0 || layer.kvHeads != 0)
      if (auto s = checkAttention(model, layer); !s.ok())
        return s;
    if (layer.intermediate != 0)
      if (auto s = checkExtent("intermediate size", layer.intermediate);
          !s.ok())
        return s;
    if (auto s = checkRanks(model, layer); !s.ok())
      return s;
  }
  const LayerDescription widest = widestLayer(model);
  if (!widest.hasAttention() || !widest.hasMLP())
    return rt::invalidFile(rt::concat(
        "expected a layer that has ",
        widest.hasAttention() ? "an MLP" : "attention", ", found none"));
  if (auto s = checkRotary(model); !s.ok())
    return s;
  if (auto s = checkNumber("epsilon of the norms", model.epsilon, 0); !s.ok())
    return s;
  if (auto s = checkTokens(model); !s.ok())
    return s;
  if (auto s = checkResiduals(model); !s.ok())
    return s;
  return checkPatterns(model);
}

/// The layer whose name `site` starts with, which is taken off; or null.
static LayerDescription *consumeLayer(ModelDescription &model,
                                      std::string_view &site) {
  constexpr std::string_view prefix = "layers.";
  if (!site.starts_with(prefix))
    return nullptr;
  size_t number = 0;
  const char *begin = site.data() + prefix.size();
  auto [end, error] = std::from_chars(begin, site.data() + site.size(), number);
  if (error != std::errc() || number >= model.layers.size() ||
      (*begin == '0' && end != begin + 1)) // one name for each
    return nullptr;
  site.remove_prefix(size_t(end - site.data()));
  if (!site.starts_with("."))
    return nullptr;
  site.remove_prefix(1);
  return &model.layers[number];
}

ResidualMap *findResidualMap(ModelDescription &model,
                             std::string_view sublayer) {
  LayerDescription *layer = consumeLayer(model, sublayer);
  if (layer && sublayer == "attn")
    return &layer->attentionMap;
  return layer && sublayer == "mlp" ? &layer->mlpMap : nullptr;
}

int64_t *findRank(ModelDescription &model, std::string_view site) {
  LayerDescription *layer = consumeLayer(model, site);
  for (auto [name, rank] : rankedProjections)
    if (layer && site == name)
      return &(layer->ranks.*rank);
  return nullptr;
}

int64_t finalWidth(const ModelDescription &model) {
  int64_t width = model.hidden;
  for (const LayerDescription &layer : model.layers) {
    if (layer.attentionMap.width)
      width = layer.attentionMap.width;
    if (layer.mlpMap.width)
      width = layer.mlpMap.width;
  }
  return width;
}

LayerDescription widestLayer(const ModelDescription &model) {
  LayerDescription widest;
  for (const LayerDescription &layer : model.layers) {
    if (layer.heads > widest.heads)
      std::tie(widest.heads, widest.kvHeads) =
          std::tie(layer.heads, layer.kvHeads);
    widest.intermediate = std::max(widest.intermediate, layer.intermediate);
  }
  return widest;
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

namespace {
/// Lists weights under the names of Llama, which most of the field shares.
class WeightLister {
public:
  explicit WeightLister(const ModelDescription &model)
      : model(model), width(model.hidden) {}

  std::vector<ModelWeight> list() {
    using Kind = ModelWeight::Kind;
    add("embed.weight", "model.embed_tokens.weight",
        {model.vocabulary, model.hidden}, Kind::Matrix);
    for (size_t i = 0; i < model.layers.size(); ++i) {
      prefix = rt::concat("layers.", i, ".");
      listAttention(model.layers[i]);
      listMLP(model.layers[i]);
    }
    add("final.norm.weight", "model.norm.weight", {width}, Kind::Gain);
    if (!model.tied)
      add("lm_head.weight", "lm_head.weight", {model.vocabulary, width},
          Kind::Matrix);
    return std::move(weights);
  }

private:
  void listAttention(const LayerDescription &layer) {
    const int64_t q = layer.heads * model.headDim;
    const int64_t kv = layer.kvHeads * model.headDim;
    if (!layer.hasAttention())
      return advance(layer.attentionMap);
    addGain("attn.norm", "input_layernorm", width);
    const LayerRanks &rank = layer.ranks;
    addProjection("attn.q", "self_attn.q", {q, width, rank.q}, model.qkvBias);
    addProjection("attn.k", "self_attn.k", {kv, width, rank.k}, model.qkvBias);
    addProjection("attn.v", "self_attn.v", {kv, width, rank.v}, model.qkvBias);
    if (model.qkNorm) {
      addGain("attn.q.norm", "self_attn.q_norm", model.headDim);
      addGain("attn.k.norm", "self_attn.k_norm", model.headDim);
    }
    advance(layer.attentionMap);
    addProjection("attn.o", "self_attn.o", {width, q, rank.o},
                  model.outputBias);
  }

  void listMLP(const LayerDescription &layer) {
    if (!layer.hasMLP())
      return advance(layer.mlpMap);
    addGain("mlp.norm", "post_attention_layernorm", width);
    const LayerRanks &rank = layer.ranks;
    addProjection("mlp.gate", "mlp.gate",
                  {layer.intermediate, width, rank.gate}, model.mlpBias);
    addProjection("mlp.up", "mlp.up", {layer.intermediate, width, rank.up},
                  model.mlpBias);
    advance(layer.mlpMap);
    addProjection("mlp.down", "mlp.down",
                  {width, layer.intermediate, rank.down}, model.mlpBias);
  }

  /// What a sublayer adds is as wide as the residual is by then.
  void advance(const ResidualMap &map) {
    if (map.width)
      width = map.width;
  }

  void addGain(const char *site, const char *key, int64_t width) {
    addOfLayer(site, key, "weight", {width}, ModelWeight::Kind::Gain);
  }

  struct Sizes {
    int64_t outputs, inputs, rank;
  };

  /// `KEY_proj`; of two factors `KEY_v_proj` and `KEY_u_proj`, which has the
  /// bias: the names of SVD-LLM (Wang et al., arXiv 2403.07378).
  void addProjection(const std::string &site, const std::string &key,
                     Sizes sizes, bool bias) {
    const bool factored = sizes.rank != 0;
    const std::string own = key + (factored ? "_u_proj" : "_proj");
    if (factored)
      addOfLayer(site + ".v", key + "_v_proj", "weight",
                 {sizes.rank, sizes.inputs}, ModelWeight::Kind::Matrix);
    addOfLayer(site, own, "weight",
               {sizes.outputs, factored ? sizes.rank : sizes.inputs},
               ModelWeight::Kind::Matrix);
    if (bias)
      addOfLayer(site, own, "bias", {sizes.outputs}, ModelWeight::Kind::Bias);
  }

  void addOfLayer(const std::string &site, const std::string &key,
                  const char *what, std::vector<int64_t> shape,
                  ModelWeight::Kind kind) {
    add(rt::concat(prefix, site, ".", what),
        rt::concat("model.", prefix, key, ".", what), std::move(shape), kind);
  }

  void add(std::string symbol, std::string key, std::vector<int64_t> shape,
           ModelWeight::Kind kind) {
    const int64_t rows = shape[0];
    weights.push_back(
        {std::move(symbol), key, std::move(shape), kind, key, 0, rows});
  }

  const ModelDescription &model;
  int64_t width; // of the residual
  std::string prefix;
  std::vector<ModelWeight> weights;
};
} // namespace

std::vector<ModelWeight> weightsOf(const ModelDescription &model) {
  return WeightLister(model).list();
}

int64_t countParameters(const ModelDescription &model) {
  int64_t count = 0;
  for (const ModelWeight &weight : weightsOf(model)) {
    int64_t elements = 1;
    for (int64_t extent : weight.shape)
      elements *= extent;
    count += elements;
  }
  return count;
}

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

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

std::vector<float> rotaryFrequencies(const ModelDescription &model) {
  std::vector<float> frequencies;
  const int64_t turned = model.rotaryDim ? model.rotaryDim : model.headDim;
  for (int64_t i = 0; i < turned / 2; ++i) {
    double frequency =
        std::pow(model.rotaryBase, -2.0 * double(i) / double(turned));
    if (model.scaling.kind == RotaryScaling::Kind::Linear)
      frequency /= model.scaling.factor;
    if (model.scaling.kind == RotaryScaling::Kind::Llama3)
      frequency = scaleLlama3(frequency, model.scaling);
    frequencies.push_back(float(frequency));
  }
  return frequencies;
}

} // namespace coppice
