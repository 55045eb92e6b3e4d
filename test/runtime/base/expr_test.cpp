// Expressions over symbols: evaluation, and what is refused.
#include "runtime/base/expr.h"

#include "runtime/base/concat.h"

#include <array>
#include <gtest/gtest.h>

namespace coppice::rt {
namespace {

const std::vector<std::string> names = {"rows", "context"};

int64_t valueOf(const std::string &json, int64_t rows, int64_t context = 1) {
  auto expr = Expr::parse(json, names);
  EXPECT_TRUE(expr) << expr.status().message();
  if (!expr)
    return -999;
  auto value = expr->evaluate(std::array{rows, context});
  EXPECT_TRUE(value) << value.status().message();
  return value ? *value : -999;
}

std::string parseFailure(const std::string &json) {
  auto expr = Expr::parse(json, names);
  EXPECT_FALSE(expr) << json;
  return expr.status().message();
}

std::string evaluateFailure(const std::string &json, int64_t rows) {
  auto expr = Expr::parse(json, names);
  EXPECT_TRUE(expr) << expr.status().message();
  auto value = expr->evaluate(std::array{rows, int64_t(1)});
  EXPECT_FALSE(value) << json;
  return value.status().message();
}

TEST(ExprTest, EvaluatesEachOperator) {
  EXPECT_EQ(valueOf("7", 0), 7);
  EXPECT_EQ(valueOf("-7", 0), -7);
  EXPECT_EQ(valueOf(R"("context")", 3, 5), 5);
  EXPECT_EQ(valueOf(R"(["+", "rows", ["*", 3, "context"]])", 2, 5), 17);
  EXPECT_EQ(valueOf(R"(["floordiv", "rows", 4])", 11), 2);
  EXPECT_EQ(valueOf(R"(["floordiv", "rows", 4])", -11), -3);
  EXPECT_EQ(valueOf(R"(["ceildiv", "rows", 4])", 11), 3);
  EXPECT_EQ(valueOf(R"(["ceildiv", "rows", 4])", 12), 3);
  EXPECT_EQ(valueOf(R"(["ceildiv", "rows", 4])", -11), -2);
  EXPECT_EQ(valueOf(R"(["mod", "rows", 4])", 11), 3);
  EXPECT_EQ(valueOf(R"(["mod", "rows", 4])", -11), 1);
  EXPECT_EQ(valueOf(R"(["max", "rows", 4])", 3), 4);
  EXPECT_EQ(valueOf(R"(["min", "rows", 4])", 3), 3);
  // Operands keep their sides.
  EXPECT_EQ(valueOf(R"(["floordiv", 100, ["+", "rows", 1]])", 6), 14);
}

TEST(ExprTest, PrintsWhatItParses) {
  for (const char *text :
       {"7", "\"rows\"", R"(["+", "rows", ["mod", -3, "context"]])"}) {
    auto expr = Expr::parse(text, names);
    ASSERT_TRUE(expr);
    EXPECT_EQ(expr->json(names), text);
  }
  Expr built = Expr::binary(Expr::Op::Max, Expr::symbol(1), Expr::constant(2));
  EXPECT_EQ(built.json(names), R"(["max", "context", 2])");
  EXPECT_EQ(*Expr::parse(built.json(names), names), built);
}

TEST(ExprTest, KnowsItsParts) {
  Expr built = Expr::binary(Expr::Op::Mul, Expr::symbol(1), Expr::constant(2));
  EXPECT_TRUE(built.uses(1));
  EXPECT_FALSE(built.uses(0));
  EXPECT_FALSE(built.uses(2)); // 2 is a constant here
  EXPECT_EQ(built.depth(), 2);
  EXPECT_EQ(Expr::constant(3).asConstant(), 3);
  EXPECT_EQ(Expr::symbol(1).asSymbol(), 1);
  EXPECT_FALSE(built.asConstant() || built.asSymbol());
}

TEST(ExprTest, OverflowIsAnError) {
  EXPECT_NE(evaluateFailure(R"(["+", "rows", 1])", INT64_MAX).find("overflows"),
            std::string::npos);
  evaluateFailure(R"(["*", "rows", "rows"])", int64_t(1) << 32);
  evaluateFailure(R"(["*", -1, "rows"])", INT64_MIN);
}

TEST(ExprTest, DivisorsBelowOneAreErrors) {
  for (const char *op : {"floordiv", "ceildiv", "mod"})
    for (int64_t divisor : {int64_t(0), int64_t(-1)})
      EXPECT_NE(evaluateFailure(concat("[\"", op, "\", 5, \"rows\"]"), divisor)
                    .find("divides by"),
                std::string::npos);
}

TEST(ExprTest, MalformedTextIsAnError) {
  for (const char *text :
       {"", "[", "1.5", "null", "true", "{}", "[]", R"(["+", 1])",
        R"(["+", 1, 2, 3])", R"(["-", 1, 2])", R"([1, 2, 3])", "\"row\"",
        "18446744073709551615", R"(["+", 1, "nothing"])", "1 2"})
    parseFailure(text);
  EXPECT_NE(parseFailure("\"row\"").find("'row'"), std::string::npos);
  EXPECT_NE(parseFailure(R"(["-", 1, 2])").find("'-'"), std::string::npos);
}

std::string nested(int depth, bool left) {
  std::string before, after;
  for (int i = 1; i < depth; ++i) {
    before += left ? "[\"+\", " : "[\"+\", 1, ";
    after += left ? ", 1]" : "]";
  }
  return before + "\"rows\"" + after;
}

TEST(ExprTest, DepthIsBounded) {
  for (bool left : {true, false}) {
    EXPECT_EQ(valueOf(nested(64, left), 10), 73);
    parseFailure(nested(65, left));
    parseFailure(nested(100000, left));
  }
  // Made by hand, past the bound: evaluation refuses, too.
  Expr deep = Expr::symbol(0);
  for (int i = 0; i < 100; ++i)
    deep = Expr::binary(Expr::Op::Add, Expr::constant(1), deep);
  EXPECT_FALSE(deep.evaluate(std::array{int64_t(1), int64_t(1)}));
}

TEST(ExprTest, PartsAreBounded) {
  std::string wide = "1";
  for (int i = 0; i < 12; ++i) // 2^12 leaves, depth 13
    wide = "[\"+\", " + wide + ", " + wide + "]";
  parseFailure(wide);
}

TEST(ExprTest, MissingSymbolValuesAreErrors) {
  EXPECT_FALSE(Expr::symbol(2).evaluate(std::array{int64_t(1), int64_t(2)}));
}

} // namespace
} // namespace coppice::rt
