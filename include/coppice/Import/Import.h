// coppice import: a model in, model.mlir and its weights out.
#ifndef COPPICE_IMPORT_IMPORT_H
#define COPPICE_IMPORT_IMPORT_H

#include "runtime/base/dtype.h"
#include "runtime/base/status.h"

#include "llvm/Support/raw_ostream.h"

#include <cstdint>
#include <optional>
#include <string>

namespace coppice {

struct ImportOptions {
  /// A Hugging Face directory, a llama2.c .bin, or "preset:NAME".
  std::string source;
  /// The module.
  std::string output;
  /// tokenizer.json or llama2.c layout; empty: the tokenizer.json of a Hugging
  /// Face directory, where there is one.
  std::string tokenizer;
  bool withoutTokenizer = false;
  /// Where weights go that must be written; empty: beside the module, with its
  /// name.
  std::string weightsOutput;
  /// Nothing: the source's; bf16 for presets.
  std::optional<rt::DType> dtype;
  /// Of generated weights.
  uint64_t seed = 0;
  bool allowNonFinite = false;
  /// Take matrices that the source says have N:M sparsity as dense ones.
  bool withoutPatterns = false;
};

/// Both files appear whole, or neither does. Says what it did on `talk`.
rt::Status importModel(const ImportOptions &options, llvm::raw_ostream &talk);

} // namespace coppice

#endif // COPPICE_IMPORT_IMPORT_H
