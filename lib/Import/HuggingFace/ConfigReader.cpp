// Comes in: the object of a config.json. Goes out: the description of its
// model, checked, or one error.
//
// First the keys that all architectures share, then those of its own. Sizes may
// differ by layer where another tool has pruned the model: lists in the place
// of numbers, `layer_intermediate_sizes` and its like, and `block_configs`, an
// object for each layer. What a file says about a layer is remembered: tensors
// must agree with that, and decide where it says nothing.
#include "ConfigReader.h"

#include "coppice/Import/BitmaskLayout.h"

#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>

using llvm::StringRef;

namespace coppice {

rt::Result<HuggingFaceConfig> ConfigReader::read() {
  model().family = fields.text("model_type", std::nullopt);
  if (!status.ok())
    return status;
  if (llvm::StringRef(model().family).starts_with(extendedTypePrefix)) {
    model().family.erase(0, extendedTypePrefix.size());
    if (!fields.find("coppice"))
      return rt::invalidFile(
          rt::concat("expected key 'coppice' (an object) in a model of type '",
                     extendedTypePrefix, model().family, "', found none"));
  }
  const Architecture *architecture = findArchitecture(model().family);
  if (!architecture) {
    std::string known;
    for (const Architecture *each : allArchitectures())
      known += (known.empty() ? "" : ", ") + rt::quote(each->modelType.str());
    notUnderstood("model_type " + rt::quote(model().family) +
                  " (known: " + known + ")");
    architecture = &llamaArchitecture; // for what else is wrong
  }
  config.architecture = architecture;
  readSizes(*architecture);
  if (status.ok())
    readLayerSizes();
  if (status.ok())
    readBlocks();
  if (status.ok())
    readExtension();
  readRotary(*architecture);
  readTokens();
  refuseVariants();
  architecture->read(*this, model());
  if (!unknown.empty()) {
    std::string list;
    for (const std::string &item : unknown)
      list += (list.empty() ? "" : "; ") + item;
    return rt::unsupported("not understood: " + list);
  }
  if (!status.ok())
    return status;
  if (auto checked = checkDescription(model()); !checked.ok())
    return checked;
  return std::move(config);
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

/// A number, or the largest of a list of one for each layer.
int64_t ConfigReader::largest(StringRef key, std::optional<int64_t> absent) {
  const llvm::json::Value *value = fields.find(key);
  const llvm::json::Array *list = value ? value->getAsArray() : nullptr;
  if (!list)
    return fields.integer(key, absent);
  int64_t most = 0;
  for (const llvm::json::Value &item : *list)
    most = std::max(most, item.getAsInteger().value_or(0));
  return most;
}

void ConfigReader::readSizes(const Architecture &architecture) {
  ModelDescription &m = model();
  m.vocabulary = fields.integer("vocab_size", std::nullopt);
  m.hidden = fields.integer("hidden_size", std::nullopt);
  m.context = fields.integer("max_position_embeddings", std::nullopt);
  m.epsilon = fields.number("rms_norm_eps", architecture.defaultEpsilon);
  m.tied = fields.flag("tie_word_embeddings", false);
  LayerDescription layer;
  layer.heads = largest("num_attention_heads", std::nullopt);
  layer.kvHeads = largest("num_key_value_heads", layer.heads);
  layer.intermediate = largest("intermediate_size", std::nullopt);
  const int64_t layers = fields.integer("num_hidden_layers", std::nullopt);
  if (!status.ok())
    return;
  if (fields.find("head_dim")) {
    m.headDim = fields.integer("head_dim", std::nullopt);
  } else if (architecture.defaultHeadDim) {
    m.headDim = architecture.defaultHeadDim;
  } else if (layer.heads > 0) {
    m.headDim = m.hidden / layer.heads;
    if (m.hidden % layer.heads != 0)
      status = rt::invalidFile(rt::concat(
          "expected a hidden_size that num_attention_heads divides (there is "
          "no head_dim), found ",
          m.hidden, " and ", layer.heads));
  }
  // Here 0 would mean that layers have no such part.
  for (auto [what, size] : {std::pair("number of heads", layer.heads),
                            std::pair("number of KV heads", layer.kvHeads),
                            std::pair("intermediate size", layer.intermediate)})
    if (size < 1)
      fields.fail(rt::invalidFile(
          rt::concat("expected ", what, " of at least 1, found ", size)));
  fields.fail(setLayers(m, layers, layer));
  if (status.ok())
    config.stated.resize(size_t(layers));
}

/// Lists with a number for each layer.
void ConfigReader::readLayerSizes() {
  const std::tuple<StringRef, int64_t LayerDescription::*,
                   bool HuggingFaceConfig::Stated::*>
      lists[] = {{"num_attention_heads", &LayerDescription::heads,
                  &HuggingFaceConfig::Stated::heads},
                 {"layer_num_attention_heads", &LayerDescription::heads,
                  &HuggingFaceConfig::Stated::heads},
                 {"num_key_value_heads", &LayerDescription::kvHeads,
                  &HuggingFaceConfig::Stated::kvHeads},
                 {"layer_num_key_value_heads", &LayerDescription::kvHeads,
                  &HuggingFaceConfig::Stated::kvHeads},
                 {"intermediate_size", &LayerDescription::intermediate,
                  &HuggingFaceConfig::Stated::intermediate},
                 {"layer_intermediate_sizes", &LayerDescription::intermediate,
                  &HuggingFaceConfig::Stated::intermediate}};
  for (auto [key, size, stated] : lists) {
    std::vector<int64_t> sizes =
        fields.integersOfLayers(key, model().layers.size());
    for (size_t i = 0; i < sizes.size(); ++i) {
      model().layers[i].*size = sizes[i];
      config.stated[i].*stated = true;
    }
  }
  // A layer without query heads has no attention, whatever else is said.
  for (LayerDescription &layer : model().layers)
    if (layer.heads == 0 || layer.kvHeads == 0)
      layer.heads = layer.kvHeads = 0;
}

/// `block_configs`: {"attention": {..}, "ffn": {..}} for each layer, as pruning
/// by architecture search writes them (Bercovich et al., arXiv 2411.19146).
void ConfigReader::readBlocks() {
  const llvm::json::Value *value = fields.find("block_configs");
  if (!value)
    return;
  const llvm::json::Array *blocks = value->getAsArray();
  if (!blocks)
    return fields.wrongType("block_configs", "a list");
  if (blocks->size() != model().layers.size())
    return fields.fail(rt::invalidFile(
        rt::concat("key 'block_configs': expected ", model().layers.size(),
                   " entries, one for each layer, found ", blocks->size())));
  for (size_t i = 0; i < blocks->size(); ++i)
    readBlock((*blocks)[i], i);
}

void ConfigReader::readBlock(const llvm::json::Value &block, size_t number) {
  LayerDescription &layer = model().layers[number];
  HuggingFaceConfig::Stated &stated = config.stated[number];
  const llvm::json::Object *object = block.getAsObject();
  if (!object)
    return fields.fail(
        rt::invalidFile(rt::concat("entry ", number,
                                   " of 'block_configs': expected an object, "
                                   "found ",
                                   rt::quote(ConfigFields::textOf(block)))));
  ConfigFields parts(*object, status);
  refuseOthers(parts, "block_configs", number, {"attention", "ffn"});
  if (const llvm::json::Object *attention = parts.nested("attention")) {
    ConfigFields part(*attention, status);
    refuseOthers(part, "attention", number,
                 {"no_op", "num_attention_heads", "num_key_value_heads",
                  "n_heads_in_group"});
    if (part.find("num_attention_heads")) {
      layer.heads = part.integer("num_attention_heads", std::nullopt);
      stated.heads = true;
    }
    if (part.find("num_key_value_heads")) {
      layer.kvHeads = part.integer("num_key_value_heads", std::nullopt);
      stated.kvHeads = true;
    } else if (part.find("n_heads_in_group")) {
      const int64_t group = part.integer("n_heads_in_group", std::nullopt);
      if (group < 1 || layer.heads % group != 0)
        return fields.fail(rt::invalidFile(
            rt::concat("entry ", number,
                       " of 'block_configs': expected n_heads_in_group "
                       "to divide the ",
                       layer.heads, " heads, found ", group)));
      layer.kvHeads = layer.heads / group;
      stated.kvHeads = true;
    }
    if (part.flag("no_op", false))
      layer.heads = layer.kvHeads = 0;
  }
  if (const llvm::json::Object *ffn = parts.nested("ffn")) {
    ConfigFields part(*ffn, status);
    // `ffn_mult` is a rule for a size that the tensors have anyway.
    refuseOthers(
        part, "ffn", number,
        {"no_op", "intermediate_size", "ffn_mult", "gated", "hidden_act"});
    if (part.find("intermediate_size")) {
      layer.intermediate = part.integer("intermediate_size", std::nullopt);
      stated.intermediate = true;
    }
    if (!part.flag("gated", true) ||
        part.text("hidden_act", std::string("silu")) != "silu")
      notUnderstood(rt::concat("an ffn that is not a gated silu in entry ",
                               number, " of block_configs"));
    if (part.flag("no_op", false))
      layer.intermediate = 0;
  }
}

/// What is not `known`, and neither null nor false, would change the layer.
void ConfigReader::refuseOthers(const ConfigFields &part, const char *name,
                                size_t layer, llvm::ArrayRef<StringRef> known) {
  for (StringRef key : part.keys()) {
    const llvm::json::Value *value = part.find(key);
    if (!value || llvm::is_contained(known, key) ||
        value->getAsBoolean() == std::optional<bool>(false))
      continue;
    notUnderstood(rt::concat(rt::quote(key.str()), " of ", name, " in entry ",
                             layer, " of block_configs"));
  }
}

/// `coppice`: what exported models have that no other key says
/// (docs/export.md).
void ConfigReader::readExtension() {
  const llvm::json::Object *object = fields.nested("coppice");
  if (!object)
    return;
  ConfigFields part(*object, status);
  for (StringRef key : part.keys())
    if (key != "schema" && key != "norm_width" && key != "residual_maps" &&
        key != "ranks" && key != "patterns")
      notUnderstood(rt::concat(rt::quote(key.str()), " in 'coppice'"));
  const std::string schema = part.text("schema", std::nullopt);
  if (status.ok() && schema != exportSchema)
    notUnderstood(rt::concat("schema ", rt::quote(schema),
                             " of 'coppice' (known: '", exportSchema, "')"));
  model().normWidth = part.integer("norm_width", 0);
  readMaps(part);
  readRanks(part);
  readPatterns(part);
}

void ConfigReader::readMaps(ConfigFields &extension) {
  const llvm::json::Object *maps = extension.nested("residual_maps");
  if (!maps)
    return;
  ConfigFields widths(*maps, status);
  for (StringRef name : widths.keys()) {
    ResidualMap *map = findResidualMap(model(), name);
    if (!map)
      return fields.fail(rt::invalidFile(rt::concat(
          "key 'residual_maps': expected sublayers of the model, such as "
          "'layers.0.attn', found ",
          rt::quote(name.str()))));
    map->width = widths.integer(name, std::nullopt);
    if (status.ok() && map->width < 1)
      fields.fail(rt::invalidFile(
          rt::concat("key 'residual_maps': expected a width of at least 1 for ",
                     rt::quote(name.str()), ", found ", map->width)));
  }
}

void ConfigReader::readRanks(ConfigFields &extension) {
  const llvm::json::Object *ranks = extension.nested("ranks");
  if (!ranks)
    return;
  config.statesRanks = true;
  ConfigFields sites(*ranks, status);
  for (StringRef name : sites.keys()) {
    int64_t *rank = findRank(model(), name);
    if (!rank)
      return fields.fail(rt::invalidFile(
          rt::concat("key 'ranks': expected projections of the model, such as "
                     "'layers.0.attn.q', found ",
                     rt::quote(name.str()))));
    *rank = sites.integer(name, std::nullopt);
    if (status.ok() && *rank < 1)
      fields.fail(rt::invalidFile(
          rt::concat("key 'ranks': expected a rank of at least 1 for ",
                     rt::quote(name.str()), ", found ", *rank)));
  }
}

/// "2:4" for a site. Which site it is, and the numbers, checkDescription()
/// sees.
void ConfigReader::readPatterns(ConfigFields &extension) {
  const llvm::json::Object *patterns = extension.nested("patterns");
  if (!patterns)
    return;
  ConfigFields sites(*patterns, status);
  for (StringRef name : sites.keys()) {
    const std::string text = sites.text(name, std::nullopt);
    auto [kept, of] = StringRef(text).split(':');
    SparsityPattern &pattern = model().patterns[name.str()];
    if (status.ok() && (kept.getAsInteger(10, pattern.kept) ||
                        of.getAsInteger(10, pattern.of)))
      fields.fail(rt::invalidFile(
          rt::concat("key 'patterns': expected N:M such as 2:4 for ",
                     rt::quote(name.str()), ", found ", rt::quote(text))));
  }
}

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

void ConfigReader::readScaling(ConfigFields &rope) {
  std::string kind =
      rope.text("rope_type", rope.text("type", std::string("default")));
  RotaryScaling &scaling = model().scaling;
  if (kind == "linear") {
    scaling.kind = RotaryScaling::Kind::Linear;
    scaling.factor = rope.number("factor", std::nullopt);
  } else if (kind == "llama3") {
    scaling.kind = RotaryScaling::Kind::Llama3;
    scaling.factor = rope.number("factor", std::nullopt);
    scaling.lowFrequencyFactor = rope.number("low_freq_factor", std::nullopt);
    scaling.highFrequencyFactor = rope.number("high_freq_factor", std::nullopt);
    scaling.originalContext =
        rope.integer("original_max_position_embeddings", std::nullopt);
  } else if (kind != "default") {
    notUnderstood("rope_type " + rt::quote(kind) +
                  " (known: 'default', 'linear', 'llama3')");
  }
}

void ConfigReader::readRotary(const Architecture &architecture) {
  model().rotaryBase = fields.number("rope_theta", 10000);
  double share = fields.number("partial_rotary_factor", 1);
  // Newer files keep all of it in one object.
  const char *key =
      fields.find("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (const llvm::json::Object *object = fields.nested(key)) {
    ConfigFields rope(*object, status);
    for (StringRef name : rope.keys())
      if (rope.find(name) && rope.find(name)->getAsObject())
        notUnderstood(
            rt::concat(key, " that differ by layer (", name.str(), ")"));
    model().rotaryBase = rope.number("rope_theta", model().rotaryBase);
    share = rope.number("partial_rotary_factor", share);
    readScaling(rope);
  }
  if (share == 1)
    return;
  if (!architecture.hasPartialRotary)
    return notUnderstood("partial_rotary_factor other than 1");
  if (!(share > 0 && share < 1))
    return fields.fail(rt::invalidFile(rt::concat(
        "expected a partial_rotary_factor above 0 and up to 1, found ",
        share)));
  model().rotaryDim = int64_t(double(model().headDim) * share);
  if (model().rotaryDim == 0) // which would mean all of them
    fields.fail(rt::invalidFile(rt::concat(
        "expected a partial_rotary_factor that turns a column of the ",
        model().headDim, " of a head, found ", share)));
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

/// The window of a key that is there, 0 for null.
static int64_t readWindowKey(ConfigFields &fields, int64_t absent) {
  if (!fields.has("sliding_window"))
    return absent;
  if (!fields.find("sliding_window"))
    return 0;
  const int64_t window = fields.integer("sliding_window", std::nullopt);
  if (window < 1)
    fields.fail(rt::invalidFile(rt::concat(
        "expected a sliding_window of at least 1, or null, found ", window)));
  return window;
}

void ConfigReader::readWindow(ModelDescription &model, int64_t absent) {
  const int64_t window = readWindowKey(fields, absent);
  for (LayerDescription &layer : model.layers)
    layer.window = window;
}

void ConfigReader::readWindowOfSomeLayers(ModelDescription &model) {
  const bool isUsed = fields.flag("use_sliding_window", false);
  const int64_t window = isUsed ? readWindowKey(fields, 4096) : 0;
  const int64_t first = fields.integer("max_window_layers", 28);
  const llvm::json::Value *value = fields.find("layer_types");
  const llvm::json::Array *types = value ? value->getAsArray() : nullptr;
  if (value && !types)
    return fields.wrongType("layer_types", "a list");
  if (types && types->size() != model.layers.size())
    return fields.fail(rt::invalidFile(
        rt::concat("key 'layer_types': expected ", model.layers.size(),
                   " entries, one for each layer, found ", types->size())));
  for (size_t i = 0; i < model.layers.size(); ++i) {
    bool slides = window != 0 && int64_t(i) >= first;
    if (types) {
      StringRef type = (*types)[i].getAsString().value_or("");
      slides = type == "sliding_attention";
      if (!slides && type != "full_attention")
        return notUnderstood("layer_types with " +
                             ConfigFields::textOf((*types)[i]));
      if (slides && window == 0)
        return fields.fail(rt::invalidFile(
            "expected use_sliding_window and sliding_window, for layer_types "
            "has 'sliding_attention', found no window"));
    }
    model.layers[i].window = slides ? window : 0;
  }
}

//===----------------------------------------------------------------------===//
// The rest
//===----------------------------------------------------------------------===//

void ConfigReader::readTokens() {
  model().bos = fields.integer("bos_token_id", -1);
  const llvm::json::Value *eos = fields.find("eos_token_id");
  if (!eos)
    return;
  if (auto token = eos->getAsInteger()) {
    model().eos = {*token};
    return;
  }
  const llvm::json::Array *list = eos->getAsArray();
  if (!list)
    return fields.wrongType("eos_token_id", "an integer or a list of them");
  for (const llvm::json::Value &item : *list) {
    auto token = item.getAsInteger();
    if (!token)
      return fields.wrongType("eos_token_id", "an integer or a list of them");
    model().eos.push_back(*token);
  }
}

void ConfigReader::refuse(StringRef key) {
  const llvm::json::Value *value = fields.find(key);
  if (value && value->getAsBoolean() != std::optional<bool>(false))
    notUnderstood(rt::concat(key.str(), " in a model of type ",
                             rt::quote(model().family)));
}

/// Keys of any architecture that change what the model computes.
void ConfigReader::refuseVariants() {
  std::string act = fields.text("hidden_act", std::string("silu"));
  if (act != "silu")
    notUnderstood("hidden_act " + rt::quote(act) + " (known: 'silu')");
  readCompression("quantization_config");
  readCompression("compression_config"); // its name in older files
}

/// Of compressed-tensors: the layout of 2:4 weights, and no quantization.
void ConfigReader::readCompression(StringRef key) {
  const llvm::json::Value *value = fields.find(key);
  if (!value)
    return;
  std::string what;
  const llvm::json::Object *object = value->getAsObject();
  for (const auto &[name, entry] : object ? *object : llvm::json::Object()) {
    const bool isEmpty =
        entry.kind() == llvm::json::Value::Null ||
        (entry.getAsObject() && entry.getAsObject()->empty()) ||
        (entry.getAsArray() && entry.getAsArray()->empty());
    if (name == "quant_method" && entry == "compressed-tensors")
      continue;
    // These say something of a quantization only.
    if (!isEmpty && name != "version" && name != "sparsity_config" &&
        name != "ignore" && name != "format" &&
        name != "global_compression_ratio" && name != "quantization_status")
      what = rt::concat(", with ", rt::quote(StringRef(name).str()));
  }
  const llvm::json::Object *sparsity =
      object ? object->getObject("sparsity_config") : nullptr;
  StringRef format = sparsity ? sparsity->getString("format").value_or("") : "";
  if (!what.empty() ||
      (format != StringRef(bitmaskFormat) && format != "dense"))
    return notUnderstood(
        rt::concat(key.str(), what,
                   " (known: weights in f32, f16 or bf16, of "
                   "compressed-tensors also a sparsity_config of the format '",
                   bitmaskFormat, "')"));
  config.hasBitmasks = format == StringRef(bitmaskFormat);
}

rt::Result<HuggingFaceConfig> parseHuggingFaceConfig(std::string_view json) {
  auto value = parseJsonObject(json);
  if (!value)
    return value.status();
  return ConfigReader(*value->getAsObject()).read();
}

} // namespace coppice
