// Comes in: the description of a model. Goes out: the config.json of a known
// architecture that says the same, or the error that there is none.
//
// Nothing here decides whether an architecture can say what the model is: each
// writes what it has keys for, the reader reads that again, and the one whose
// text gives the description back is taken. The model's own family comes first.
//
// Sizes that all layers share are written as any tool expects them. Where
// layers differ there is an entry in `block_configs` for each. What the field
// has no key for is in the object `coppice`.
#include "ConfigWriter.h"

#include "runtime/base/concat.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <charconv>
#include <cmath>

using llvm::StringRef;
namespace json = llvm::json;

namespace coppice {

/// The shortest decimal that is the same f32: 1e-5 rather than 9.99999974e-6.
static double shortest(double value) {
  char text[64];
  auto end = std::to_chars(text, text + sizeof(text), float(value)).ptr;
  double read = value;
  std::from_chars(text, end, read);
  return read;
}

void ConfigWriter::writeSizes(const Architecture &architecture) {
  const LayerDescription widest = widestLayer(model);
  object["vocab_size"] = model.vocabulary;
  object["hidden_size"] = model.hidden;
  object["intermediate_size"] = widest.intermediate;
  object["num_hidden_layers"] = int64_t(model.layers.size());
  object["num_attention_heads"] = widest.heads;
  object["num_key_value_heads"] = widest.kvHeads;
  object["head_dim"] = model.headDim;
  object["max_position_embeddings"] = model.context;
  object["rms_norm_eps"] = shortest(model.epsilon);
  object["hidden_act"] = "silu";
  object["tie_word_embeddings"] = model.tied;
  object["torch_dtype"] = dtype == rt::DType::F32   ? "float32"
                          : dtype == rt::DType::F16 ? "float16"
                                                    : "bfloat16";
}

void ConfigWriter::writeRotary() {
  object["rope_theta"] = model.rotaryBase;
  if (model.rotaryDim != 0 && model.rotaryDim != model.headDim) {
    // Rounded up, for readers take the integer below.
    double share = double(model.rotaryDim) / double(model.headDim);
    while (int64_t(double(model.headDim) * share) < model.rotaryDim)
      share = std::nextafter(share, 2);
    object["partial_rotary_factor"] = share;
  }
  const RotaryScaling &scaling = model.scaling;
  if (scaling.kind == RotaryScaling::Kind::Linear)
    object["rope_scaling"] =
        json::Object{{"rope_type", "linear"}, {"factor", scaling.factor}};
  if (scaling.kind == RotaryScaling::Kind::Llama3)
    object["rope_scaling"] = json::Object{
        {"rope_type", "llama3"},
        {"factor", scaling.factor},
        {"low_freq_factor", scaling.lowFrequencyFactor},
        {"high_freq_factor", scaling.highFrequencyFactor},
        {"original_max_position_embeddings", scaling.originalContext}};
}

void ConfigWriter::writeTokens() {
  object["bos_token_id"] =
      model.bos < 0 ? json::Value(nullptr) : json::Value(model.bos);
  // Some classes have a default, which may not be a token of this vocabulary.
  object["pad_token_id"] = nullptr;
  if (model.eos.size() == 1)
    object["eos_token_id"] = model.eos.front();
  else if (!model.eos.empty())
    object["eos_token_id"] = json::Array(model.eos);
}

/// An entry for each layer where they differ. Is a half of one absent?
bool ConfigWriter::writeBlocks() {
  const LayerDescription widest = widestLayer(model);
  bool isAbsent = false, differ = false;
  json::Array blocks;
  for (const LayerDescription &layer : model.layers) {
    isAbsent |= !layer.hasAttention() || !layer.hasMLP();
    differ |= layer.heads != widest.heads || layer.kvHeads != widest.kvHeads ||
              layer.intermediate != widest.intermediate;
    json::Object attention{{"no_op", !layer.hasAttention()}},
        ffn{{"no_op", !layer.hasMLP()}};
    if (layer.hasAttention()) {
      attention["num_attention_heads"] = layer.heads;
      attention["num_key_value_heads"] = layer.kvHeads;
    }
    if (layer.hasMLP())
      ffn["intermediate_size"] = layer.intermediate;
    blocks.push_back(json::Object{{"attention", std::move(attention)},
                                  {"ffn", std::move(ffn)}});
  }
  if (differ)
    object["block_configs"] = std::move(blocks);
  return isAbsent;
}

/// Does it say something that changes the model?
bool ConfigWriter::writeExtension() {
  json::Object extension{{"schema", StringRef(exportSchema)}}, maps, ranks;
  for (auto [i, layer] : llvm::enumerate(model.layers)) {
    if (layer.attentionMap.width)
      maps[rt::concat("layers.", i, ".attn")] = layer.attentionMap.width;
    if (layer.mlpMap.width)
      maps[rt::concat("layers.", i, ".mlp")] = layer.mlpMap.width;
    for (auto [site, rank] : rankedProjections)
      if (layer.ranks.*rank)
        ranks[rt::concat("layers.", i, ".", site)] = layer.ranks.*rank;
  }
  const bool hasMaps = !maps.empty(), hasRanks = !ranks.empty();
  if (model.normWidth)
    extension["norm_width"] = model.normWidth;
  if (hasMaps)
    extension["residual_maps"] = std::move(maps);
  if (hasRanks)
    extension["ranks"] = std::move(ranks);
  // Others multiply with the zeros: that is no other model.
  if (!model.patterns.empty()) {
    json::Object patterns;
    for (const auto &[site, pattern] : model.patterns)
      patterns[site] = rt::concat(pattern.kept, ":", pattern.of);
    extension["patterns"] = std::move(patterns);
  }
  object["coppice"] = std::move(extension);
  return hasMaps || hasRanks || model.normWidth != 0;
}

void ConfigWriter::writeWindow(const ModelDescription &model) {
  auto attends = llvm::find_if(
      model.layers, [](const auto &layer) { return layer.hasAttention(); });
  const int64_t window = attends == model.layers.end() ? 0 : attends->window;
  object["sliding_window"] =
      window ? json::Value(window) : json::Value(nullptr);
}

void ConfigWriter::writeWindowOfSomeLayers(const ModelDescription &model) {
  int64_t window = 0, first = int64_t(model.layers.size());
  json::Array types;
  for (auto [i, layer] : llvm::enumerate(model.layers)) {
    const bool slides = layer.hasAttention() && layer.window != 0;
    types.push_back(slides ? "sliding_attention" : "full_attention");
    if (slides && window == 0) {
      window = layer.window;
      first = int64_t(i);
    }
  }
  object["use_sliding_window"] = window != 0;
  object["sliding_window"] =
      window ? json::Value(window) : json::Value(nullptr);
  object["max_window_layers"] = first;
  object["layer_types"] = std::move(types);
}

HuggingFaceConfigText ConfigWriter::write(const Architecture &architecture) {
  writeSizes(architecture);
  writeRotary();
  writeTokens();
  architecture.write(*this, model);
  const bool isAbsent = writeBlocks();
  HuggingFaceConfigText text;
  text.architecture = &architecture;
  text.isExtended = writeExtension() || isAbsent;
  std::string type = architecture.modelType.str();
  if (text.isExtended)
    type = rt::concat(extendedTypePrefix, type);
  else
    object["architectures"] = json::Array{architecture.className};
  object["model_type"] = type;
  text.json = llvm::formatv("{0:2}\n", json::Value(std::move(object))).str();
  return text;
}

//===----------------------------------------------------------------------===//
// The choice
//===----------------------------------------------------------------------===//

/// What a configuration can say of a model: neither its name nor which columns
/// residual maps take, nor how far rows look that do not look.
static ModelDescription comparable(ModelDescription model) {
  model.name.clear();
  model.family.clear();
  if (model.rotaryDim == model.headDim)
    model.rotaryDim = 0;
  for (LayerDescription &layer : model.layers) {
    layer.attentionMap.columns.clear();
    layer.mlpMap.columns.clear();
    if (!layer.hasAttention())
      layer.window = 0;
  }
  model.epsilon = float(model.epsilon);
  return model;
}

/// For the error: what of the model it may be that no architecture has.
static std::string describeFeatures(const ModelDescription &model) {
  std::string text;
  auto add = [&](bool is, const char *what) {
    if (is)
      text += (text.empty() ? "" : ", ") + std::string(what);
  };
  bool slides = false, isFull = false;
  for (const LayerDescription &layer : model.layers)
    if (layer.hasAttention())
      (layer.window ? slides : isFull) = true;
  add(model.qkvBias, "biases on q, k and v");
  add(model.outputBias, "biases on o");
  add(model.mlpBias, "biases in the MLP");
  add(model.qkNorm, "norms of heads");
  add(slides && isFull, "windows in some layers");
  add(slides && !isFull, "a window");
  add(model.rotaryDim != 0 && model.rotaryDim != model.headDim,
      "a partial rotary embedding");
  return text.empty() ? "none of what they differ in" : text;
}

rt::Result<HuggingFaceConfigText>
writeHuggingFaceConfig(const ModelDescription &model, rt::DType dtype) {
  std::vector<const Architecture *> candidates;
  if (const Architecture *own = findArchitecture(model.family))
    candidates.push_back(own);
  for (const Architecture *other : allArchitectures())
    if (!llvm::is_contained(candidates, other))
      candidates.push_back(other);
  for (const Architecture *candidate : candidates) {
    HuggingFaceConfigText text = ConfigWriter(model, dtype).write(*candidate);
    auto read = parseHuggingFaceConfig(text.json);
    if (read && comparable(read->description) == comparable(model))
      return text;
  }
  return rt::unsupported(
      "expected a model of an architecture that is known, found one with " +
      describeFeatures(model));
}

} // namespace coppice
