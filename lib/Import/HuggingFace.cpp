// Comes in: a Hugging Face directory. Goes out: the description of its model
// and its tensors, or one error that says what is wrong or what is not
// understood.
//
// The text of config.json is data from elsewhere: it passes the strict check
// first (llvm::json bounds no nesting and keeps the last of two equal keys).
// What it says may be wrong in many places; all keys that ask for something
// that is not known here are listed together.
#include "coppice/Import/HuggingFace.h"

#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"
#include "runtime/base/sha256.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

#include <filesystem>
#include <set>

namespace coppice {

//===----------------------------------------------------------------------===//
// config.json
//===----------------------------------------------------------------------===//

namespace {
/// Typed access to the keys of an object. The first wrong type is kept as the
/// error; null is as good as absent.
class Fields {
public:
  Fields(const llvm::json::Object &object, rt::Status &status)
      : object(object), status(status) {}

  const llvm::json::Value *find(llvm::StringRef key) const {
    const llvm::json::Value *value = object.get(key);
    return value && value->kind() != llvm::json::Value::Null ? value : nullptr;
  }

  int64_t integer(llvm::StringRef key, std::optional<int64_t> absent) {
    return read(key, absent, "an integer",
                [](const llvm::json::Value &v) { return v.getAsInteger(); });
  }
  double number(llvm::StringRef key, std::optional<double> absent) {
    return read(key, absent, "a number",
                [](const llvm::json::Value &v) { return v.getAsNumber(); });
  }
  bool flag(llvm::StringRef key, std::optional<bool> absent) {
    return read(key, absent, "true or false",
                [](const llvm::json::Value &v) { return v.getAsBoolean(); });
  }
  std::string text(llvm::StringRef key, std::optional<std::string> absent) {
    return read(key, absent, "a string",
                [](const llvm::json::Value &v) -> std::optional<std::string> {
                  if (auto text = v.getAsString())
                    return text->str();
                  return std::nullopt;
                });
  }
  const llvm::json::Object *nested(llvm::StringRef key) {
    const llvm::json::Value *value = find(key);
    if (!value)
      return nullptr;
    if (!value->getAsObject())
      wrongType(key, "an object");
    return value->getAsObject();
  }
  void wrongType(llvm::StringRef key, const char *expected) {
    if (status.ok())
      status = rt::invalidFile(rt::concat("key ", rt::quote(key), ": expected ",
                                          expected, ", found ",
                                          rt::quote(textOf(*object.get(key)))));
  }

  static std::string textOf(const llvm::json::Value &value) {
    return llvm::formatv("{0}", value).str();
  }

private:
  template <typename T, typename Get>
  T read(llvm::StringRef key, std::optional<T> absent, const char *expected,
         Get get) {
    const llvm::json::Value *value = find(key);
    if (!value) {
      if (!absent && status.ok())
        status = rt::invalidFile(rt::concat("expected key ", rt::quote(key),
                                            " (", expected, "), found none"));
      return absent.value_or(T());
    }
    if (std::optional<T> got = get(*value))
      return *got;
    wrongType(key, expected);
    return T();
  }

  const llvm::json::Object &object;
  rt::Status &status;
};

class ConfigReader {
public:
  explicit ConfigReader(const llvm::json::Object &object)
      : config(object, status) {}

  rt::Result<LlamaDescription> read() {
    model.family = config.text("model_type", std::nullopt);
    if (!status.ok())
      return status;
    if (model.family != "llama" && model.family != "qwen2")
      notUnderstood.push_back("model_type " + rt::quote(model.family) +
                              " (known: 'llama', 'qwen2')");
    readSizes();
    readBiases();
    readRotary();
    readTokens();
    refuseVariants();
    if (!notUnderstood.empty()) {
      std::string list;
      for (const std::string &item : notUnderstood)
        list += (list.empty() ? "" : "; ") + item;
      return rt::unsupported("not understood: " + list);
    }
    if (!status.ok())
      return status;
    if (auto checked = checkDescription(model); !checked.ok())
      return checked;
    return model;
  }

private:
  void readSizes() {
    model.vocabulary = config.integer("vocab_size", std::nullopt);
    model.hidden = config.integer("hidden_size", std::nullopt);
    model.intermediate = config.integer("intermediate_size", std::nullopt);
    model.layers = config.integer("num_hidden_layers", std::nullopt);
    model.heads = config.integer("num_attention_heads", std::nullopt);
    model.kvHeads = config.integer("num_key_value_heads", model.heads);
    model.context = config.integer("max_position_embeddings", std::nullopt);
    model.epsilon = config.number("rms_norm_eps", 1e-6);
    model.tied = config.flag("tie_word_embeddings", false);
    if (config.find("head_dim")) {
      model.headDim = config.integer("head_dim", std::nullopt);
    } else if (model.heads > 0) {
      model.headDim = model.hidden / model.heads;
      if (status.ok() && model.hidden % model.heads != 0)
        status = rt::invalidFile(rt::concat(
            "expected a hidden_size that num_attention_heads divides (there is "
            "no head_dim), found ",
            model.hidden, " and ", model.heads));
    }
  }

  void readBiases() {
    if (model.family == "qwen2") { // has no keys for them
      model.qkvBias = true;
      return;
    }
    model.qkvBias = model.outputBias = config.flag("attention_bias", false);
    model.mlpBias = config.flag("mlp_bias", false);
  }

  void readRotary() {
    model.rotaryBase = config.number("rope_theta", 10000);
    // Newer files keep all of it in one object.
    const llvm::json::Object *object = config.nested("rope_parameters");
    if (!object)
      object = config.nested("rope_scaling");
    if (!object)
      return;
    Fields rope(*object, status);
    model.rotaryBase = rope.number("rope_theta", model.rotaryBase);
    std::string kind =
        rope.text("rope_type", rope.text("type", std::string("default")));
    RotaryScaling &scaling = model.scaling;
    if (kind == "linear") {
      scaling.kind = RotaryScaling::Kind::Linear;
      scaling.factor = rope.number("factor", std::nullopt);
    } else if (kind == "llama3") {
      scaling.kind = RotaryScaling::Kind::Llama3;
      scaling.factor = rope.number("factor", std::nullopt);
      scaling.lowFrequencyFactor = rope.number("low_freq_factor", std::nullopt);
      scaling.highFrequencyFactor =
          rope.number("high_freq_factor", std::nullopt);
      scaling.originalContext =
          rope.integer("original_max_position_embeddings", std::nullopt);
    } else if (kind != "default") {
      notUnderstood.push_back("rope_type " + rt::quote(kind) +
                              " (known: 'default', 'linear', 'llama3')");
    }
    if (rope.number("partial_rotary_factor", 1) != 1)
      notUnderstood.push_back("partial_rotary_factor other than 1");
  }

  void readTokens() {
    model.bos = config.integer("bos_token_id", -1);
    const llvm::json::Value *eos = config.find("eos_token_id");
    if (!eos)
      return;
    if (auto token = eos->getAsInteger()) {
      model.eos = {*token};
      return;
    }
    const llvm::json::Array *list = eos->getAsArray();
    if (!list)
      return config.wrongType("eos_token_id", "an integer or a list of them");
    for (const llvm::json::Value &item : *list) {
      auto token = item.getAsInteger();
      if (!token)
        return config.wrongType("eos_token_id", "an integer or a list of them");
      model.eos.push_back(*token);
    }
  }

  /// Keys that change what the model computes.
  void refuseVariants() {
    std::string act = config.text("hidden_act", std::string("silu"));
    if (act != "silu")
      notUnderstood.push_back("hidden_act " + rt::quote(act) +
                              " (known: 'silu')");
    if (config.number("partial_rotary_factor", 1) != 1)
      notUnderstood.push_back("partial_rotary_factor other than 1");
    if (config.find("quantization_config"))
      notUnderstood.push_back("quantization_config (known: weights in f32, "
                              "f16 or bf16)");
    // qwen2 names a window and then says that it is not used.
    if (model.family == "qwen2" ? config.flag("use_sliding_window", false)
                                : config.find("sliding_window") != nullptr)
      notUnderstood.push_back("sliding_window");
  }

  rt::Status status;
  Fields config;
  LlamaDescription model;
  std::vector<std::string> notUnderstood;
};
} // namespace

static rt::Result<llvm::json::Value> parseObject(std::string_view text) {
  if (auto checked = rt::checkJson(text); !checked.ok())
    return checked;
  auto value = llvm::json::parse(text);
  if (!value)
    return rt::invalidFile(
        "not valid JSON: " +
        llvm::toString(
            value.takeError())); // what the two parsers see otherwise
  if (!value->getAsObject())
    return rt::invalidFile("expected a JSON object, found " +
                           rt::quote(Fields::textOf(*value)));
  return std::move(*value);
}

rt::Result<LlamaDescription> parseHuggingFaceConfig(std::string_view json) {
  auto value = parseObject(json);
  if (!value)
    return value.status();
  return ConfigReader(*value->getAsObject()).read();
}

rt::Result<std::vector<std::string>>
parseSafetensorsIndex(std::string_view json) {
  auto value = parseObject(json);
  if (!value)
    return value.status();
  rt::Status status;
  const llvm::json::Object *map =
      Fields(*value->getAsObject(), status).nested("weight_map");
  if (!status.ok())
    return status;
  if (!map)
    return rt::invalidFile("expected key 'weight_map' (an object), found none");
  std::set<std::string> files;
  for (const auto &[tensor, file] : *map) {
    auto name = file.getAsString();
    if (!name)
      return rt::invalidFile(rt::concat("tensor ", rt::quote(tensor.str()),
                                        ": expected the name of a file, found ",
                                        rt::quote(Fields::textOf(file))));
    // Never out of the directory.
    if (name->empty() || name->contains('/') || name->contains('\0') ||
        *name == "." || *name == "..")
      return rt::invalidFile(rt::concat(
          "tensor ", rt::quote(tensor.str()),
          ": expected a file name without folders, found ", rt::quote(*name)));
    files.insert(name->str());
  }
  if (files.empty())
    return rt::invalidFile("expected the names of files in 'weight_map', "
                           "found none");
  return std::vector<std::string>(files.begin(), files.end());
}

//===----------------------------------------------------------------------===//
// The directory
//===----------------------------------------------------------------------===//

/// The names of the weight files in `directory`.
static rt::Result<std::vector<std::string>>
weightFiles(const std::string &directory) {
  const std::string single = directory + "/model.safetensors";
  const std::string index = single + ".index.json";
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored))
    return std::vector<std::string>{"model.safetensors"};
  if (!std::filesystem::exists(index, ignored))
    return rt::ioError(rt::concat(directory,
                                  ": expected model.safetensors or "
                                  "model.safetensors.index.json, found "
                                  "neither"));
  auto text = rt::MappedFile::open(index);
  if (!text)
    return text.status();
  auto names = parseSafetensorsIndex(text->text());
  if (!names)
    return names.status().at(index);
  return names;
}

/// Tensors without a meaning: tables that old versions stored, and the copy of
/// the embedding that some writers of tied models leave in the head's place.
static bool ignorableTensor(llvm::StringRef name, bool tied) {
  return name.ends_with(".self_attn.rotary_emb.inv_freq") ||
         (tied && name == "lm_head.weight");
}

/// A tied model's head, where the file has one, is the embedding table.
static rt::Status checkTiedHead(const WeightSource &source) {
  const TensorView &table = source.tensors.front();
  for (const rt::SafetensorsFile &file : source.files)
    if (const rt::TensorInfo *head = file.find("lm_head.weight"))
      if (!std::ranges::equal(file.data(*head), table.data))
        return rt::invalidFile(
            "expected no 'lm_head.weight', or a copy of "
            "'model.embed_tokens.weight' (tie_word_embeddings is true), found "
            "a different tensor");
  return {};
}

rt::Result<HuggingFaceModel> openHuggingFace(const std::string &directory) {
  HuggingFaceModel model;
  const std::string configPath = directory + "/config.json";
  auto config = rt::MappedFile::open(configPath);
  if (!config)
    return config.status();
  auto description = parseHuggingFaceConfig(config->text());
  if (!description)
    return description.status().at(configPath);
  model.description = *std::move(description);

  auto names = weightFiles(directory);
  if (!names)
    return names.status();
  model.filesRead.push_back(configPath);
  for (const std::string &name : *names) {
    model.filesRead.push_back(directory + "/" + name);
    auto file = rt::SafetensorsFile::open(model.filesRead.back());
    if (!file)
      return file.status();
    model.weights.files.push_back(*std::move(file));
  }
  const std::string where =
      names->size() == 1 ? directory + "/" + names->front() : directory;
  const bool tied = model.description.tied;
  if (auto s = matchTensors(
          weightsOf(model.description),
          [&](llvm::StringRef name) { return ignorableTensor(name, tied); },
          model.weights);
      !s.ok())
    return s.at(where);
  if (tied)
    if (auto s = checkTiedHead(model.weights); !s.ok())
      return s.at(where);

  // One hash a line, so that the whole of what was read has one.
  std::string hashes = rt::sha256(config->text()) + "\n";
  for (const rt::SafetensorsFile &file : model.weights.files) {
    model.weightsSha256 = rt::sha256(file.bytes());
    hashes += model.weightsSha256 + "\n";
  }
  model.sourceSha256 = rt::sha256(hashes);
  if (names->size() == 1)
    model.singleFile = where;
  return model;
}

} // namespace coppice
