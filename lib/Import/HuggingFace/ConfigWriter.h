//===- ConfigWriter.h - a description into a config.json --------*- C++ -*-===//
//
// The reverse of ConfigReader.h.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_IMPORT_HUGGINGFACE_CONFIGWRITER_H
#define COPPICE_LIB_IMPORT_HUGGINGFACE_CONFIGWRITER_H

#include "Architecture.h"
#include "coppice/Import/HuggingFace.h"

#include "llvm/Support/JSON.h"

namespace coppice {

class ConfigWriter {
public:
  ConfigWriter(const ModelDescription &model, rt::DType dtype)
      : model(model), dtype(dtype) {}

  HuggingFaceConfigText write(const Architecture &architecture);

  // For architectures.

  void set(llvm::StringRef key, llvm::json::Value value) {
    object[key] = std::move(value);
  }

  /// `sliding_window` of the first layer that has attention, or null.
  void writeWindow(const ModelDescription &model);

  /// Qwen's way: `use_sliding_window`, and which layers.
  void writeWindowOfSomeLayers(const ModelDescription &model);

private:
  void writeSizes(const Architecture &architecture);
  void writeRotary();
  void writeTokens();
  bool writeBlocks();
  bool writeExtension();

  const ModelDescription &model;
  rt::DType dtype;
  llvm::json::Object object;
};

} // namespace coppice

#endif // COPPICE_LIB_IMPORT_HUGGINGFACE_CONFIGWRITER_H
