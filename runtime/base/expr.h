// Size expressions over the program's symbols (docs/bundle.md).
//
// An expression is stored in postfix order, so that evaluation is one loop over
// a flat array, without recursion on anything that a file says. Evaluation is
// checked: overflow and division by a number below 1 give an error.
#ifndef COPPICE_RUNTIME_BASE_EXPR_H
#define COPPICE_RUNTIME_BASE_EXPR_H

#include "runtime/base/status.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

class Expr {
public:
  enum class Op : uint8_t {
    Constant,
    Symbol,
    Add,
    Mul,
    FloorDiv,
    CeilDiv,
    Mod,
    Max,
    Min,
  };

  // Nesting of operators that parse() accepts: a constant or a symbol has
  // depth 1.
  static constexpr int maxDepth = 64;
  // Nodes that parse() accepts; the depth alone would allow 2^64.
  static constexpr int maxNodes = 4096;

  Expr() : Expr(constant(0)) {}
  static Expr constant(int64_t value);
  // `index` into the program's symbols.
  static Expr symbol(int index);
  static Expr binary(Op op, const Expr &lhs, const Expr &rhs);

  // From an expression's JSON text; symbol names are looked up in `symbols`.
  static Result<Expr> parse(std::string_view json,
                            std::span<const std::string> symbols);
  // The JSON text that parse() reads back.
  std::string json(std::span<const std::string> symbols) const;

  Result<int64_t> evaluate(std::span<const int64_t> symbols) const;

  // The value of an expression that is a lone integer.
  std::optional<int64_t> asConstant() const;
  // The symbol of an expression that is a lone symbol.
  std::optional<int> asSymbol() const;
  bool uses(int symbol) const;
  int depth() const;

  bool operator==(const Expr &other) const = default;

private:
  struct Node {
    Op op;
    int64_t value; // Constant: the value; Symbol: its index; else 0
    bool operator==(const Node &other) const = default;
  };
  explicit Expr(std::vector<Node> nodes) : nodes(std::move(nodes)) {}

  std::vector<Node> nodes; // postfix; never empty
  friend class ExprParser;
};

} // namespace coppice::rt

#endif
