// What a reader of untrusted JSON needs beside its parser, whichever that is:
// the compiler reads with llvm::json, which bounds no nesting and keeps the
// last of two equal keys in silence.
#ifndef COPPICE_RUNTIME_BASE_JSON_CHECK_H
#define COPPICE_RUNTIME_BASE_JSON_CHECK_H

#include "runtime/base/status.h"

#include <string>
#include <string_view>

namespace coppice::rt {

// Deepest nesting of arrays and objects that any reader here accepts. An
// expression of depth 64 inside program.json stays below it.
constexpr int maxJsonDepth = 100;

// Duplicate keys, nesting over the bound, trailing text, syntax errors and
// invalid UTF-8 are errors.
Status checkJson(std::string_view text, int maxDepth = maxJsonDepth);

// `text` in single quotes, cut to a length fit for a message, with control
// characters and non-ASCII bytes replaced.
std::string quote(std::string_view text);

} // namespace coppice::rt

#endif
