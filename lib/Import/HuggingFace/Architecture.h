//===- Architecture.h - one kind of model, by its model_type ----*- C++ -*-===//
//
// A file of this folder for each architecture says what its config.json has
// beside the keys that all share (ConfigReader.h), and where its files keep a
// weight that they do not keep as Llama's do. To add one: a file, a line below
// and one in Architectures.cpp, a tiny model with golden logits.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_IMPORT_HUGGINGFACE_ARCHITECTURE_H
#define COPPICE_LIB_IMPORT_HUGGINGFACE_ARCHITECTURE_H

#include "coppice/Import/ModelDescription.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace coppice {

class ConfigReader;
class ConfigWriter;

struct Architecture {
  llvm::StringRef modelType;
  /// The class that runs it in transformers.
  llvm::StringRef className;
  /// Reads the keys of its own; those that all share have been read.
  void (*read)(ConfigReader &config, ModelDescription &model);
  /// Writes them; those that all share have been written. Whether the model is
  /// of this architecture at all is seen by reading it again.
  void (*write)(ConfigWriter &config, const ModelDescription &model);
  /// Sets where a weight is found; null: under its own name.
  void (*locate)(const ModelDescription &model, ModelWeight &weight) = nullptr;
  /// Of the norms, where there is no key.
  double defaultEpsilon = 1e-6;
  /// Of a head, where there is no key; 0: hidden_size / num_attention_heads.
  int64_t defaultHeadDim = 0;
  /// May some columns of a head not turn (`partial_rotary_factor`)?
  bool hasPartialRotary = false;
};

extern const Architecture llamaArchitecture;
extern const Architecture mistralArchitecture;
extern const Architecture phi3Architecture;
extern const Architecture qwen2Architecture;
extern const Architecture qwen3Architecture;

/// In the order of their names.
llvm::ArrayRef<const Architecture *> allArchitectures();

/// Null if there is none.
const Architecture *findArchitecture(llvm::StringRef modelType);

} // namespace coppice

#endif // COPPICE_LIB_IMPORT_HUGGINGFACE_ARCHITECTURE_H
