// Hugging Face directories: config.json and safetensors, Llama architecture.
#ifndef COPPICE_IMPORT_HUGGINGFACE_H
#define COPPICE_IMPORT_HUGGINGFACE_H

#include "coppice/Import/LlamaModel.h"
#include "coppice/Import/Weights.h"

#include <string>
#include <string_view>
#include <vector>

namespace coppice {

/// The model that a config.json describes, checked. Anything in it that would
/// change the meaning of the model and is not known here is an error; the name
/// is left empty.
rt::Result<LlamaDescription> parseHuggingFaceConfig(std::string_view json);

/// The weight files that a model.safetensors.index.json names: file names
/// without folders, each once, in order of first mention.
rt::Result<std::vector<std::string>>
parseSafetensorsIndex(std::string_view json);

/// A directory that has been read and checked: each tensor of the model is
/// there, with its shape, and no other.
struct HuggingFaceModel {
  LlamaDescription description;
  WeightSource weights;
  std::vector<std::string> filesRead; // paths
  std::string singleFile;    // path of the weights where they are one file
  std::string sourceSha256;  // of config.json and the weights together
  std::string weightsSha256; // of the single file
};
rt::Result<HuggingFaceModel> openHuggingFace(const std::string &directory);

} // namespace coppice

#endif // COPPICE_IMPORT_HUGGINGFACE_H
