#include "runtime/bundle/json_cursor.h"

#include "runtime/base/concat.h"
#include "runtime/base/expr_json.h"

#include <algorithm>

namespace coppice::rt {

static std::string shown(const Json &value) {
  switch (value.type()) {
  case Json::value_t::object:
    return "an object";
  case Json::value_t::array:
    return "an array";
  default:
    return quote(value.dump(-1, ' ', true, Json::error_handler_t::replace));
  }
}

std::string JsonCursor::path() const {
  if (!parent)
    return "";
  std::string prefix = parent->path();
  if (!key)
    return concat(prefix, "[", position, "]");
  return prefix.empty() ? key : prefix + "." + key;
}

void JsonCursor::fail(const std::string &message) const {
  if (!sink->ok())
    return;
  std::string where = path();
  *sink = invalidFile(where.empty() ? message : where + ": " + message);
}

void JsonCursor::expected(const char *what) const {
  if (value)
    fail(concat("expected ", what, ", found ", shown(*value)));
}

bool JsonCursor::has(const char *name) const {
  return value && value->is_object() && value->contains(name);
}

void JsonCursor::onlyKeys(std::initializer_list<std::string_view> known) const {
  if (!value)
    return;
  if (!value->is_object())
    return expected("an object");
  for (const auto &[key, member] : value->items())
    if (std::ranges::find(known, key) == known.end())
      return fail(concat("key ", quote(key), " is not understood"));
}

JsonCursor JsonCursor::at(const char *name) const {
  const Json *member = nullptr;
  if (value && !value->is_object()) {
    expected("an object");
  } else if (value) {
    auto found = value->find(name);
    if (found == value->end())
      fail(concat("missing key '", name, "'"));
    else
      member = &*found;
  }
  return JsonCursor(member, sink, this, name, 0);
}

size_t JsonCursor::size() const {
  if (!value)
    return 0;
  if (!value->is_array()) {
    expected("an array");
    return 0;
  }
  return value->size();
}

JsonCursor JsonCursor::element(size_t index) const {
  const Json *member = nullptr;
  if (value && value->is_array() && index < value->size())
    member = &(*value)[index];
  else
    fail(concat("expected an element ", index));
  return JsonCursor(member, sink, this, nullptr, index);
}

std::string JsonCursor::text() const {
  if (value && value->is_string())
    return value->get<std::string>();
  expected("a string");
  return {};
}

bool JsonCursor::boolean() const {
  if (value && value->is_boolean())
    return value->get<bool>();
  expected("true or false");
  return false;
}

double JsonCursor::number() const {
  if (value && value->is_number())
    return value->get<double>();
  expected("a number");
  return 0;
}

int64_t JsonCursor::integer(int64_t least, int64_t most) const {
  if (value && value->is_number_integer() &&
      (!value->is_number_unsigned() ||
       value->get<uint64_t>() <= uint64_t(INT64_MAX))) {
    int64_t found = value->get<int64_t>();
    if (found >= least && found <= most)
      return found;
  }
  if (most == INT64_MAX)
    expected(concat("an integer of at least ", least).c_str());
  else
    expected(concat("an integer in [", least, ", ", most, "]").c_str());
  return least;
}

uint64_t JsonCursor::unsigned64() const {
  if (value && value->is_number_unsigned())
    return value->get<uint64_t>();
  expected("an integer of at least 0");
  return 0;
}

int64_t JsonCursor::index(size_t count) const {
  if (value && value->is_number_unsigned() && value->get<uint64_t>() < count)
    return int64_t(value->get<uint64_t>());
  expected(concat("an index below ", count).c_str());
  return 0;
}

Expr JsonCursor::expr(std::span<const std::string> symbols) const {
  if (!value)
    return {};
  auto parsed = parseExpr(*value, symbols);
  if (parsed)
    return *std::move(parsed);
  fail(parsed.status().message());
  return {};
}

DType JsonCursor::dtype() const {
  if (value && value->is_string())
    if (auto named = dtypeNamed(value->get_ref<const std::string &>()))
      return *named;
  expected("a dtype such as \"f32\"");
  return DType::F32;
}

std::string JsonCursor::fileName() const {
  std::string name = text();
  if (!ok())
    return {};
  if (name.empty() || name == "." || name == ".." ||
      name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
    expected("a file name inside the bundle, without a path");
    return {};
  }
  return name;
}

std::string JsonCursor::sha256() const {
  std::string digest = text();
  if (ok() &&
      (digest.size() != 64 ||
       digest.find_first_not_of("0123456789abcdef") != std::string::npos))
    expected("64 lower-case hexadecimal digits");
  return digest;
}

} // namespace coppice::rt
