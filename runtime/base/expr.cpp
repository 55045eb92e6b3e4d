#include "runtime/base/expr.h"

#include "runtime/base/checked.h"
#include "runtime/base/concat.h"
#include "runtime/base/expr_json.h"

#include <algorithm>
#include <array>

namespace coppice::rt {
namespace {

constexpr std::array<std::string_view, 9> operatorNames = {
    "", "", "+", "*", "floordiv", "ceildiv", "mod", "max", "min"};

std::optional<Expr::Op> operatorNamed(std::string_view name) {
  for (size_t i = size_t(Expr::Op::Add); i < operatorNames.size(); ++i)
    if (operatorNames[i] == name)
      return Expr::Op(i);
  return std::nullopt;
}

// Rounds towards minus infinity, as affine floordiv does. b is at least 1.
int64_t floorDivide(int64_t a, int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

std::optional<int64_t> apply(Expr::Op op, int64_t a, int64_t b) {
  switch (op) {
  case Expr::Op::Add:
    return checkedAdd(a, b);
  case Expr::Op::Mul:
    return checkedMul(a, b);
  case Expr::Op::FloorDiv:
    return floorDivide(a, b);
  case Expr::Op::CeilDiv:
    return floorDivide(a, b) + (a % b != 0 ? 1 : 0);
  case Expr::Op::Mod:
    return a - floorDivide(a, b) * b;
  case Expr::Op::Max:
    return std::max(a, b);
  case Expr::Op::Min:
    return std::min(a, b);
  case Expr::Op::Constant:
  case Expr::Op::Symbol:
    break;
  }
  return std::nullopt;
}

} // namespace

Expr Expr::constant(int64_t value) {
  return Expr(std::vector<Node>{{Op::Constant, value}});
}

Expr Expr::symbol(int index) {
  return Expr(std::vector<Node>{{Op::Symbol, index}});
}

Expr Expr::binary(Op op, const Expr &lhs, const Expr &rhs) {
  std::vector<Node> nodes = lhs.nodes;
  nodes.insert(nodes.end(), rhs.nodes.begin(), rhs.nodes.end());
  nodes.push_back({op, 0});
  return Expr(std::move(nodes));
}

std::optional<int64_t> Expr::asConstant() const {
  if (nodes.size() == 1 && nodes[0].op == Op::Constant)
    return nodes[0].value;
  return std::nullopt;
}

std::optional<int> Expr::asSymbol() const {
  if (nodes.size() == 1 && nodes[0].op == Op::Symbol)
    return int(nodes[0].value);
  return std::nullopt;
}

bool Expr::uses(int symbol) const {
  return std::any_of(nodes.begin(), nodes.end(), [&](const Node &node) {
    return node.op == Op::Symbol && node.value == symbol;
  });
}

int Expr::depth() const {
  std::vector<int> depths;
  for (const Node &node : nodes) {
    if (node.op == Op::Constant || node.op == Op::Symbol) {
      depths.push_back(1);
      continue;
    }
    int rhs = depths.back();
    depths.pop_back();
    depths.back() = std::max(depths.back(), rhs) + 1;
  }
  return depths.back();
}

Result<int64_t> Expr::evaluate(std::span<const int64_t> symbols) const {
  // A postfix expression of depth d that leans to the right holds d values at
  // once, so that this many always suffice for what parse() accepts; deeper
  // ones (made by binary()) are refused.
  std::array<int64_t, maxDepth + 1> stack;
  size_t top = 0;
  for (const Node &node : nodes) {
    if (node.op == Op::Constant || node.op == Op::Symbol) {
      if (top == stack.size())
        return invalidFile(concat("expression deeper than ", maxDepth));
      if (node.op == Op::Symbol && size_t(node.value) >= symbols.size())
        return invalidFile(concat("expression names symbol ", node.value,
                                  " of ", symbols.size()));
      stack[top++] =
          node.op == Op::Constant ? node.value : symbols[size_t(node.value)];
      continue;
    }
    int64_t rhs = stack[--top], lhs = stack[top - 1];
    bool divides =
        node.op == Op::FloorDiv || node.op == Op::CeilDiv || node.op == Op::Mod;
    if (divides && rhs < 1)
      return invalidFile(concat("expression divides by ", rhs,
                                ", expected a divisor of at least 1"));
    auto value = apply(node.op, lhs, rhs);
    if (!value)
      return invalidFile(concat("expression overflows 64 bits: ", lhs, " ",
                                operatorNames[size_t(node.op)], " ", rhs));
    stack[top - 1] = *value;
  }
  return stack[0];
}

std::string Expr::json(std::span<const std::string> symbols) const {
  std::vector<std::string> stack;
  for (const Node &node : nodes) {
    if (node.op == Op::Constant) {
      stack.push_back(std::to_string(node.value));
    } else if (node.op == Op::Symbol) {
      assert(size_t(node.value) < symbols.size() && "symbol without a name");
      stack.push_back(concat('"', symbols[size_t(node.value)], '"'));
    } else {
      std::string rhs = std::move(stack.back());
      stack.pop_back();
      stack.back() = concat("[\"", operatorNames[size_t(node.op)], "\", ",
                            stack.back(), ", ", rhs, "]");
    }
  }
  return stack.back();
}

// Appends the postfix form of a JSON tree. The recursion is bounded by
// maxDepth.
class ExprParser {
public:
  explicit ExprParser(std::span<const std::string> symbols)
      : symbols(symbols) {}

  Status parse(const Json &json, int depth) {
    if (depth > Expr::maxDepth)
      return invalidFile(
          concat("expression nested more than ", Expr::maxDepth, " deep"));
    if (int(nodes.size()) >= Expr::maxNodes)
      return invalidFile(
          concat("expression of more than ", Expr::maxNodes, " parts"));
    if (json.is_number_integer())
      return parseInteger(json);
    if (json.is_string())
      return parseSymbol(json.get_ref<const std::string &>());
    if (!json.is_array() || json.size() != 3 || !json[0].is_string())
      return invalidFile(
          "expected an integer, a symbol or [op, a, b], found " +
          quote(json.dump(-1, ' ', true, Json::error_handler_t::replace)));
    const std::string &name = json[0].get_ref<const std::string &>();
    auto op = operatorNamed(name);
    if (!op)
      return invalidFile(
          concat("expected one of + * floordiv ceildiv mod max min, found ",
                 quote(name)));
    if (Status status = parse(json[1], depth + 1); !status.ok())
      return status;
    if (Status status = parse(json[2], depth + 1); !status.ok())
      return status;
    nodes.push_back({*op, 0});
    return {};
  }

  Expr take() { return Expr(std::move(nodes)); }

private:
  Status parseInteger(const Json &json) {
    if (json.is_number_unsigned() && json.get<uint64_t>() > uint64_t(INT64_MAX))
      return invalidFile(concat("expected an integer of 64 bits, found ",
                                json.get<uint64_t>()));
    nodes.push_back({Expr::Op::Constant, json.get<int64_t>()});
    return {};
  }

  Status parseSymbol(const std::string &name) {
    for (size_t i = 0; i < symbols.size(); ++i) {
      if (symbols[i] == name) {
        nodes.push_back({Expr::Op::Symbol, int64_t(i)});
        return {};
      }
    }
    return invalidFile(
        concat("expected a symbol of the program, found ", quote(name)));
  }

  std::span<const std::string> symbols;
  std::vector<Expr::Node> nodes;
};

Result<Expr> parseExpr(const Json &json, std::span<const std::string> symbols) {
  ExprParser parser(symbols);
  if (Status status = parser.parse(json, 1); !status.ok())
    return status;
  return parser.take();
}

Result<Expr> Expr::parse(std::string_view text,
                         std::span<const std::string> symbols) {
  auto json = parseJson(text);
  if (!json)
    return json.status();
  return parseExpr(*json, symbols);
}

} // namespace coppice::rt
