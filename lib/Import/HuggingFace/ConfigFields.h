//===- ConfigFields.h - typed access to the keys of an object ---*- C++ -*-===//

#ifndef COPPICE_LIB_IMPORT_HUGGINGFACE_CONFIGFIELDS_H
#define COPPICE_LIB_IMPORT_HUGGINGFACE_CONFIGFIELDS_H

#include "runtime/base/status.h"

#include "llvm/Support/JSON.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace coppice {

/// Typed access to the keys of an object. The first wrong type is kept as the
/// error; null is as good as absent.
class ConfigFields {
public:
  ConfigFields(const llvm::json::Object &object, rt::Status &status)
      : object(object), status(status) {}

  /// Null where there is no such key, or nothing in it.
  const llvm::json::Value *find(llvm::StringRef key) const;
  /// Is there such a key, be it null?
  bool has(llvm::StringRef key) const { return object.get(key) != nullptr; }

  /// What a key holds, or `absent`; without that, a missing key is an error.
  int64_t integer(llvm::StringRef key, std::optional<int64_t> absent);
  double number(llvm::StringRef key, std::optional<double> absent);
  bool flag(llvm::StringRef key, std::optional<bool> absent);
  std::string text(llvm::StringRef key, std::optional<std::string> absent);
  /// An object, or null.
  const llvm::json::Object *nested(llvm::StringRef key);
  /// One for each of `count` layers, or nothing where there is no list.
  std::vector<int64_t> integersOfLayers(llvm::StringRef key, size_t count);

  void wrongType(llvm::StringRef key, const char *expected);
  void fail(rt::Status problem) {
    if (status.ok())
      status = std::move(problem);
  }

  /// The keys, in order of the alphabet.
  std::vector<llvm::StringRef> keys() const;
  static std::string textOf(const llvm::json::Value &value);

private:
  template <typename T, typename Get>
  T read(llvm::StringRef key, std::optional<T> absent, const char *expected,
         Get get);

  const llvm::json::Object &object;
  rt::Status &status;
};

/// A JSON object that has passed the strict check.
rt::Result<llvm::json::Value> parseJsonObject(std::string_view text);

} // namespace coppice

#endif // COPPICE_LIB_IMPORT_HUGGINGFACE_CONFIGFIELDS_H
