// Comes in: a Hugging Face directory. Goes out: the description of its model
// and its tensors, or one error that says what is wrong or what is not
// understood.
//
// The text of its JSON files is data from elsewhere: it passes the strict check
// first (llvm::json bounds no nesting and keeps the last of two equal keys).
// Files may be links, as in the hub's cache: they are opened by the name that
// the directory has for them.
#include "coppice/Import/HuggingFace.h"

#include "Architecture.h"
#include "ConfigFields.h"
#include "LayerSizes.h"
#include "coppice/Import/BitmaskLayout.h"
#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"
#include "runtime/base/sha256.h"

#include <cstring>
#include <filesystem>
#include <set>

namespace coppice {

rt::Result<std::vector<std::string>>
parseSafetensorsIndex(std::string_view json) {
  auto value = parseJsonObject(json);
  if (!value)
    return value.status();
  rt::Status status;
  const llvm::json::Object *map =
      ConfigFields(*value->getAsObject(), status).nested("weight_map");
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
                                        rt::quote(ConfigFields::textOf(file))));
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

/// Is it the tensor of a map that the model has?
static bool isResidualMap(ModelDescription &model, llvm::StringRef name) {
  if (!name.consume_front(residualMapKey("")))
    return false;
  const ResidualMap *map = findResidualMap(model, name);
  return map && map->width != 0;
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

std::string residualMapKey(std::string_view sublayer) {
  return rt::concat("model.residual_maps.", sublayer);
}

/// Reads the columns of the residual maps that the configuration names.
static rt::Status readResidualMaps(ModelDescription &model,
                                   const WeightSource &source) {
  auto read = [&](const std::string &sublayer) -> rt::Status {
    ResidualMap *map = findResidualMap(model, sublayer);
    if (!map || map->width == 0)
      return {};
    const std::string key = residualMapKey(sublayer);
    for (const rt::SafetensorsFile &file : source.files) {
      const rt::TensorInfo *tensor = file.find(key);
      if (!tensor)
        continue;
      if (tensor->dtype != rt::DType::I32 ||
          tensor->shape != std::vector<int64_t>{map->width})
        return rt::invalidFile(rt::concat(
            "tensor ", rt::quote(key), ": expected ", map->width,
            " numbers of type i32 by the configuration, found ",
            tensor->elements(), " of type ", rt::nameOf(tensor->dtype)));
      map->columns.resize(size_t(map->width));
      std::memcpy(map->columns.data(), file.data(*tensor).data(),
                  size_t(tensor->bytes));
      return {};
    }
    return rt::invalidFile(rt::concat("missing tensor ", rt::quote(key)));
  };
  for (size_t i = 0; i < model.layers.size(); ++i)
    for (const char *half : {".attn", ".mlp"})
      if (auto s = read(rt::concat("layers.", i, half)); !s.ok())
        return s;
  return {};
}

/// What is stored as 2:4 has that pattern, if none that is known better. Is
/// there any?
static bool claimBitmasks(HuggingFaceModel &model) {
  bool any = false;
  const std::vector<ModelWeight> weights = weightsOf(model.description);
  for (size_t i = 0; i < weights.size(); ++i) {
    if (model.weights.tensors[i].bitmask.empty())
      continue;
    any = true;
    std::string site = weights[i].symbol;
    site.resize(site.size() - std::string_view(".weight").size());
    model.description.patterns.try_emplace(site, SparsityPattern{2, 4});
  }
  return any;
}

rt::Result<HuggingFaceModel> openHuggingFace(const std::string &directory) {
  HuggingFaceModel model;
  const std::string configPath = directory + "/config.json";
  auto config = rt::MappedFile::open(configPath);
  if (!config)
    return config.status();
  auto parsed = parseHuggingFaceConfig(config->text());
  if (!parsed)
    return parsed.status().at(configPath);

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
  const auto &files = model.weights.files;
  model.note = inferLayerSizes(
      *parsed, [&](const std::string &key) -> std::vector<int64_t> {
        for (const rt::SafetensorsFile &file : files)
          if (const rt::TensorInfo *tensor = file.find(key))
            return tensor->shape;
        if (!parsed->hasBitmasks)
          return {};
        for (const rt::SafetensorsFile &file : files)
          if (const rt::TensorInfo *tensor =
                  file.find(bitmaskKey(key, "compressed"));
              tensor && tensor->shape.size() == 2)
            return {tensor->shape[0], 2 * tensor->shape[1]};
        return {};
      });
  model.description = parsed->description;
  if (auto s = readResidualMaps(model.description, model.weights); !s.ok())
    return s.at(where);
  if (auto s = checkDescription(model.description); !s.ok())
    return s.at(where);
  const bool tied = model.description.tied;
  if (auto s = matchTensors(
          locateWeights(*parsed->architecture, model.description),
          [&](llvm::StringRef name) {
            return ignorableTensor(name, tied) ||
                   isResidualMap(model.description, name);
          },
          model.weights, parsed->hasBitmasks);
      !s.ok())
    return s.at(where);
  const bool isCompressed = claimBitmasks(model);
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
  if (names->size() == 1 && !isCompressed)
    model.singleFile = where;
  return model;
}

} // namespace coppice
