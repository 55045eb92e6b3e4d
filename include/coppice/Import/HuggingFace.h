// Hugging Face directories: config.json and safetensors, in the architectures
// of lib/Import/HuggingFace.
#ifndef COPPICE_IMPORT_HUGGINGFACE_H
#define COPPICE_IMPORT_HUGGINGFACE_H

#include "coppice/Import/ModelDescription.h"
#include "coppice/Import/Weights.h"
#include "runtime/base/dtype.h"

#include <string>
#include <string_view>
#include <vector>

namespace coppice {

struct Architecture;

/// `model_type` has this prefix where a reader that does not know the key
/// `coppice`, or passes over absent halves of layers, would compute something
/// else than the model without noticing.
inline constexpr std::string_view extendedTypePrefix = "coppice_";
/// The `schema` in the key `coppice` of what is exported.
inline constexpr std::string_view exportSchema = "coppice.checkpoint/1";

/// What a config.json says.
struct HuggingFaceConfig {
  /// Checked; the name is left empty.
  ModelDescription description;
  const Architecture *architecture = nullptr;
  /// Which sizes it states for a layer by itself. Where it does not, the
  /// tensors decide.
  struct Stated {
    bool heads = false, kvHeads = false, intermediate = false;
  };
  std::vector<Stated> stated;
  /// Does it say which weights are two factors? Else the tensors do.
  bool statesRanks = false;
  /// May matrices be stored as two of each four elements and a mask
  /// (BitmaskLayout.h)?
  bool hasBitmasks = false;
};

/// Anything in it that would change the meaning of the model and is not known
/// here is an error.
rt::Result<HuggingFaceConfig> parseHuggingFaceConfig(std::string_view json);

/// The config.json of a checked description. It reads back as the same
/// description, but for the name and for windows of layers without attention;
/// where no architecture that is known can say what the model is, that is the
/// error. `architecture` is the one whose tensors the checkpoint has.
struct HuggingFaceConfigText {
  std::string json;
  const Architecture *architecture = nullptr;
  /// Has model_type the prefix?
  bool isExtended = false;
};
rt::Result<HuggingFaceConfigText>
writeHuggingFaceConfig(const ModelDescription &model, rt::DType dtype);

/// The weights of the model, and where the files of `architecture` keep them.
std::vector<ModelWeight> locateWeights(const Architecture &architecture,
                                       const ModelDescription &model);

/// The tensor of a residual map, I32.
std::string residualMapKey(std::string_view sublayer);

/// The weight files that a model.safetensors.index.json names: file names
/// without folders, each once, in order of first mention.
rt::Result<std::vector<std::string>>
parseSafetensorsIndex(std::string_view json);

/// A directory that has been read and checked: each tensor of the model is
/// there, with its shape, and no other.
struct HuggingFaceModel {
  ModelDescription description;
  WeightSource weights;
  std::vector<std::string> filesRead; // paths
  std::string singleFile;    // path of the weights where they are one file
  std::string sourceSha256;  // of config.json and the weights together
  std::string weightsSha256; // of the single file
  /// Layers whose tensors say something else than the sizes of all layers do;
  /// one line, or nothing.
  std::string note;
};
rt::Result<HuggingFaceModel> openHuggingFace(const std::string &directory);

} // namespace coppice

#endif // COPPICE_IMPORT_HUGGINGFACE_H
