#include "ConfigFields.h"

#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

using llvm::StringRef;

namespace coppice {

const llvm::json::Value *ConfigFields::find(StringRef key) const {
  const llvm::json::Value *value = object.get(key);
  return value && value->kind() != llvm::json::Value::Null ? value : nullptr;
}

template <typename T, typename Get>
T ConfigFields::read(StringRef key, std::optional<T> absent,
                     const char *expected, Get get) {
  const llvm::json::Value *value = find(key);
  if (!value) {
    if (!absent)
      fail(rt::invalidFile(rt::concat("expected key ", rt::quote(key), " (",
                                      expected, "), found none")));
    return absent.value_or(T());
  }
  if (std::optional<T> got = get(*value))
    return *got;
  wrongType(key, expected);
  return T();
}

int64_t ConfigFields::integer(StringRef key, std::optional<int64_t> absent) {
  return read(key, absent, "an integer",
              [](const llvm::json::Value &v) { return v.getAsInteger(); });
}

double ConfigFields::number(StringRef key, std::optional<double> absent) {
  return read(key, absent, "a number",
              [](const llvm::json::Value &v) { return v.getAsNumber(); });
}

bool ConfigFields::flag(StringRef key, std::optional<bool> absent) {
  return read(key, absent, "true or false",
              [](const llvm::json::Value &v) { return v.getAsBoolean(); });
}

std::string ConfigFields::text(StringRef key,
                               std::optional<std::string> absent) {
  return read(key, absent, "a string",
              [](const llvm::json::Value &v) -> std::optional<std::string> {
                if (auto text = v.getAsString())
                  return text->str();
                return std::nullopt;
              });
}

const llvm::json::Object *ConfigFields::nested(StringRef key) {
  const llvm::json::Value *value = find(key);
  if (!value)
    return nullptr;
  if (!value->getAsObject())
    wrongType(key, "an object");
  return value->getAsObject();
}

std::vector<int64_t> ConfigFields::integersOfLayers(StringRef key,
                                                    size_t count) {
  const llvm::json::Value *value = find(key);
  const llvm::json::Array *list = value ? value->getAsArray() : nullptr;
  if (!list)
    return {};
  std::vector<int64_t> numbers;
  for (const llvm::json::Value &item : *list) {
    auto number = item.getAsInteger();
    if (!number) {
      wrongType(key, "an integer for each layer");
      return {};
    }
    numbers.push_back(*number);
  }
  if (numbers.size() != count) {
    fail(
        rt::invalidFile(rt::concat("key ", rt::quote(key), ": expected ", count,
                                   " entries, one for each layer, "
                                   "found ",
                                   numbers.size())));
    return {};
  }
  return numbers;
}

void ConfigFields::wrongType(StringRef key, const char *expected) {
  fail(rt::invalidFile(rt::concat("key ", rt::quote(key), ": expected ",
                                  expected, ", found ",
                                  rt::quote(textOf(*object.get(key))))));
}

std::vector<StringRef> ConfigFields::keys() const {
  std::vector<StringRef> names;
  for (const auto &entry : object)
    names.push_back(entry.first);
  llvm::sort(names);
  return names;
}

std::string ConfigFields::textOf(const llvm::json::Value &value) {
  return llvm::formatv("{0}", value).str();
}

rt::Result<llvm::json::Value> parseJsonObject(std::string_view text) {
  if (auto checked = rt::checkJson(text); !checked.ok())
    return checked;
  auto value = llvm::json::parse(text);
  if (!value) // what the two parsers see otherwise
    return rt::invalidFile("not valid JSON: " +
                           llvm::toString(value.takeError()));
  if (!value->getAsObject())
    return rt::invalidFile("expected a JSON object, found " +
                           rt::quote(ConfigFields::textOf(*value)));
  return std::move(*value);
}

} // namespace coppice
