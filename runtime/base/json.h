// Strict JSON for files that are not to be trusted: duplicate keys, nesting
// over a bound, trailing text and invalid UTF-8 are errors. Internal to the
// runtime: headers that the compiler includes do not include this one.
#ifndef COPPICE_RUNTIME_BASE_JSON_H
#define COPPICE_RUNTIME_BASE_JSON_H

#include "runtime/base/status.h"

#include <nlohmann/json.hpp>
#include <string_view>

namespace coppice::rt {

using Json = nlohmann::json;

// Deepest nesting of arrays and objects that any reader here accepts. An
// expression of depth 64 inside program.json stays below it.
constexpr int maxJsonDepth = 100;

Result<Json> parseJson(std::string_view text, int maxDepth = maxJsonDepth);

// `text` cut to a length fit for a message, with control characters and
// invalid UTF-8 replaced.
std::string quote(std::string_view text);

} // namespace coppice::rt

#endif
