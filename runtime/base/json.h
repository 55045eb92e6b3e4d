// Strict JSON for files that are not to be trusted: duplicate keys, nesting
// over a bound, trailing text and invalid UTF-8 are errors. Internal to the
// runtime: headers that the compiler includes do not include this one.
#ifndef COPPICE_RUNTIME_BASE_JSON_H
#define COPPICE_RUNTIME_BASE_JSON_H

#include "runtime/base/json_check.h"
#include "runtime/base/status.h"

#include <nlohmann/json.hpp>
#include <string_view>

namespace coppice::rt {

using Json = nlohmann::json;

Result<Json> parseJson(std::string_view text, int maxDepth = maxJsonDepth);

} // namespace coppice::rt

#endif
