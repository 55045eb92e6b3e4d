#include "runtime/base/json.h"

#include "runtime/base/concat.h"

#include <unordered_set>
#include <vector>

namespace coppice::rt {
namespace {

// First pass over the text: only looks for what nlohmann's own parser lets
// through (duplicate keys, deep nesting) and for the place of a syntax error.
class Checker : public nlohmann::json_sax<Json> {
public:
  explicit Checker(int maxDepth) : maxDepth(maxDepth) {}

  Status status;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t &) override { return true; }
  bool string(string_t &) override { return true; }
  bool binary(binary_t &) override { return true; }

  bool start_object(size_t) override { return enter(); }
  bool start_array(size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }

  bool key(string_t &name) override {
    if (keys.back().insert(name).second)
      return true;
    status = invalidFile(concat("key ", quote(name), " appears twice"));
    return false;
  }

  bool parse_error(size_t position, const std::string &,
                   const nlohmann::detail::exception &) override {
    status = invalidFile(concat("not valid JSON at byte ", position));
    return false;
  }

private:
  bool enter() {
    keys.emplace_back();
    if (int(keys.size()) <= maxDepth)
      return true;
    status =
        invalidFile(concat("JSON nested more than ", maxDepth, " levels deep"));
    return false;
  }
  bool leave() {
    keys.pop_back();
    return true;
  }

  int maxDepth;
  std::vector<std::unordered_set<std::string>> keys;
};

} // namespace

Status checkJson(std::string_view text, int maxDepth) {
  Checker checker(maxDepth);
  bool sound = Json::sax_parse(text.begin(), text.end(), &checker);
  if (checker.status.ok() && !sound)
    return invalidFile("not valid JSON");
  return checker.status;
}

Result<Json> parseJson(std::string_view text, int maxDepth) {
  if (Status status = checkJson(text, maxDepth); !status.ok())
    return status;
  Json value = Json::parse(text.begin(), text.end(), nullptr,
                           /*allow_exceptions=*/false);
  if (value.is_discarded())
    return invalidFile("not valid JSON");
  return value;
}

std::string quote(std::string_view text) {
  constexpr size_t limit = 80;
  std::string out = "'";
  for (char c : text.substr(0, limit))
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ||
                   static_cast<unsigned char>(c) >= 0x80
               ? '?'
               : c;
  if (text.size() > limit)
    out += "..";
  return out + "'";
}

} // namespace coppice::rt
