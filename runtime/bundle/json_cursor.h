// A place in a JSON document, read with sticky errors: the first failure is
// kept in the sink with its path ("dispatches[3].args[0].buffer"), later reads
// return harmless defaults, and the reader asks the sink once at the end. So a
// schema reads as a list of its fields.
#ifndef COPPICE_RUNTIME_BUNDLE_JSON_CURSOR_H
#define COPPICE_RUNTIME_BUNDLE_JSON_CURSOR_H

#include "runtime/base/dtype.h"
#include "runtime/base/expr.h"
#include "runtime/base/json.h"

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace coppice::rt {

class JsonCursor {
public:
  // The root. `sink` outlives the cursor and everything made from it.
  JsonCursor(const Json &value, Status &sink) : value(&value), sink(&sink) {}

  // Member `key` of an object. Cursors point at their parents for the sake of
  // error paths: use them within the expression or the scope that made them.
  JsonCursor at(const char *key) const;
  bool has(const char *key) const;
  bool isNull() const { return !value || value->is_null(); }
  bool isObject() const { return value && value->is_object(); }
  // The value itself, for what no other member reads; null once something has
  // failed.
  const Json *json() const { return value; }
  // An object with a key that is none of these is an error that names it.
  void onlyKeys(std::initializer_list<std::string_view> known) const;

  // Elements of an array; 0 and an error where it is not one.
  size_t size() const;
  JsonCursor element(size_t index) const;

  std::string text() const;
  bool boolean() const;
  double number() const;
  int64_t integer(int64_t least, int64_t most = INT64_MAX) const;
  uint64_t unsigned64() const;
  // An index into a list of `count` elements.
  int64_t index(size_t count) const;
  Expr expr(std::span<const std::string> symbols) const;
  DType dtype() const;
  // The name of a file inside the bundle: not empty, without '/', '\' or NUL,
  // neither "." nor "..".
  std::string fileName() const;
  // 64 lower-case hexadecimal digits.
  std::string sha256() const;

  // Records a failure here.
  void fail(const std::string &message) const;
  void expected(const char *what) const;
  bool ok() const { return sink->ok(); }
  std::string path() const;

private:
  JsonCursor(const Json *value, Status *sink, const JsonCursor *parent,
             const char *key, size_t position)
      : value(value), sink(sink), parent(parent), key(key), position(position) {
  }

  const Json *value; // null once something has failed
  Status *sink;
  const JsonCursor *parent = nullptr;
  const char *key = nullptr; // null: an element of an array
  size_t position = 0;
};

} // namespace coppice::rt

#endif
