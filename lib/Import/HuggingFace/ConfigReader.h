//===- ConfigReader.h - a config.json into a description --------*- C++ -*-===//
//
// What it says may be wrong in many places: all that asks for something that is
// not known here is listed together, by `notUnderstood`.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_IMPORT_HUGGINGFACE_CONFIGREADER_H
#define COPPICE_LIB_IMPORT_HUGGINGFACE_CONFIGREADER_H

#include "Architecture.h"
#include "ConfigFields.h"
#include "coppice/Import/HuggingFace.h"

namespace coppice {

class ConfigReader {
public:
  explicit ConfigReader(const llvm::json::Object &object)
      : fields(object, status) {}

  rt::Result<HuggingFaceConfig> read();

  // For architectures.

  ConfigFields &keys() { return fields; }

  /// Adds to the list of what is not understood.
  void notUnderstood(std::string what) { unknown.push_back(std::move(what)); }

  /// `key` must not be there, or be null or false: it would change the model.
  void refuse(llvm::StringRef key);

  /// `sliding_window` for all layers; `absent` where there is no key, which is
  /// not the same as null.
  void readWindow(ModelDescription &model, int64_t absent);

  /// Qwen's way: `use_sliding_window`, and which layers, by `layer_types` or
  /// from `max_window_layers` on.
  void readWindowOfSomeLayers(ModelDescription &model);

private:
  void readSizes(const Architecture &architecture);
  void readLayerSizes();
  void readBlocks();
  void readBlock(const llvm::json::Value &block, size_t layer);
  void readExtension();
  void readMaps(ConfigFields &extension);
  void readRanks(ConfigFields &extension);
  void readPatterns(ConfigFields &extension);
  void refuseOthers(const ConfigFields &part, const char *name, size_t layer,
                    llvm::ArrayRef<llvm::StringRef> known);
  ModelDescription &model() { return config.description; }
  void readRotary(const Architecture &architecture);
  void readScaling(ConfigFields &rope);
  void readTokens();
  void refuseVariants();
  void readCompression(llvm::StringRef key);
  int64_t largest(llvm::StringRef key, std::optional<int64_t> absent);

  rt::Status status;
  ConfigFields fields;
  HuggingFaceConfig config;
  std::vector<std::string> unknown;
};

} // namespace coppice

#endif // COPPICE_LIB_IMPORT_HUGGINGFACE_CONFIGREADER_H
