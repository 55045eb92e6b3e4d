// Reads an expression from parsed JSON; see expr.h for the text form.
#ifndef COPPICE_RUNTIME_BASE_EXPR_JSON_H
#define COPPICE_RUNTIME_BASE_EXPR_JSON_H

#include "runtime/base/expr.h"
#include "runtime/base/json.h"

namespace coppice::rt {

Result<Expr> parseExpr(const Json &json, std::span<const std::string> symbols);

} // namespace coppice::rt

#endif
