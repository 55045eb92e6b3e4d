// Patterns: what is understood, what is refused, and that none takes long.
#include "runtime/tokenizer/oniguruma_pattern.h"
#include "runtime/tokenizer/split_pattern.h"

#include <chrono>
#include <gtest/gtest.h>

using namespace coppice::rt;
using Parts = std::vector<std::string>;

namespace {

SplitPattern compiled(std::string_view pattern) {
  auto result = SplitPattern::compile(pattern);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return *std::move(result);
}

/// Matches as they are, what is between them in brackets.
Parts cut(const SplitPattern &pattern, std::string_view text) {
  std::vector<TextSpan> spans;
  Status status = pattern.cut(text, spans);
  EXPECT_TRUE(status.ok()) << status.message();
  Parts parts;
  size_t end = 0;
  for (const TextSpan &span : spans) {
    EXPECT_EQ(span.begin, end); // nothing is lost
    EXPECT_LT(span.begin, span.end);
    end = span.end;
    std::string part(text.substr(span.begin, span.end - span.begin));
    parts.push_back(span.matched ? part : "[" + part + "]");
  }
  EXPECT_EQ(end, text.size());
  return parts;
}

Parts cut(std::string_view pattern, std::string_view text) {
  return cut(compiled(pattern), text);
}

} // namespace

TEST(SplitPattern, CutsIntoMatchesAndTheRest) {
  EXPECT_EQ(cut("b+", "abbcb"), (Parts{"[a]", "bb", "[c]", "b"}));
  EXPECT_EQ(cut("b", "bb"), (Parts{"b", "b"}));
  EXPECT_EQ(cut("x", "\xC3\xA9"), (Parts{"[\xC3\xA9]"}));
  EXPECT_EQ(cut("x", ""), Parts{});
}

TEST(SplitPattern, TakesTheFirstAlternativeNotTheLongest) {
  EXPECT_EQ(cut("a|ab", "ab"), (Parts{"a", "[b]"}));
  EXPECT_EQ(cut("a{2,3}|a", "aaaaa"), (Parts{"aaa", "aa"}));
  EXPECT_EQ(cut("a+?b?", "aab"), (Parts{"a", "ab"}));
  EXPECT_EQ(cut("a{2,}", "aaab"), (Parts{"aaa", "[b]"}));
}

TEST(SplitPattern, LooksAhead) {
  EXPECT_EQ(cut(R"(\s+(?!\S)|\s+)", "   x  "), (Parts{"  ", " ", "[x]", "  "}));
  EXPECT_EQ(cut("a(?=b)", "abac"), (Parts{"a", "[bac]"}));
}

TEST(SplitPattern, WhiteSpaceIsUnicodes) {
  // Not U+180E and U+200B, which PCRE2's own \s or older Unicode have.
  EXPECT_EQ(cut(R"(\s+)", "\u00A0\u2003\u3000\u0085\u180E\u200B"),
            (Parts{"\u00A0\u2003\u3000\u0085", "[\u180E\u200B]"}));
  EXPECT_EQ(cut(R"([^\s]+)", "a\u2028b"), (Parts{"a", "[\u2028]", "b"}));
}

TEST(SplitPattern, FoldsCaseAsUnicodeDoes) {
  // U+017F, the long s, is an s without case.
  EXPECT_EQ(cut("(?i:'s|'re)", "'S'\u017F'rE'T"),
            (Parts{"'S", "'\u017F", "'rE", "['T]"}));
}

TEST(SplitPattern, LongRunsMatchAsShortOnesDo) {
  // Longer than any window, with the lookahead's character behind it.
  for (size_t length : {255, 256, 257, 1023, 1025, 300'000}) {
    std::string spaces(length, ' '), letters(length, 'a');
    EXPECT_EQ(cut(R"(\s*[\r\n]+|\s+(?!\S)|\s+)", spaces + "x"),
              (Parts{spaces.substr(1), " ", "[x]"}));
    EXPECT_EQ(cut(R"(\s*[\r\n]+|\s+(?!\S)|\s+)", spaces + "\n"),
              (Parts{spaces + "\n"}));
    EXPECT_EQ(cut(R"(\p{L}+)", letters + "\u00E9" + "1"),
              (Parts{letters + "\u00E9", "[1]"}));
  }
}

TEST(SplitPattern, NoPatternTakesLong) {
  std::string text(50'000, 'a');
  for (std::string_view pattern :
       {"(a+)+b", "(a|a)+b", "(a*a*a*)+b", "a*b", "a*a*a*a*b|c",
        "(?:(?:a{1,1000}){1,1000}){1,1000}b"}) {
    auto start = std::chrono::steady_clock::now();
    std::vector<TextSpan> spans;
    Result<SplitPattern> code = SplitPattern::compile(pattern);
    if (code.ok()) {
      Status status = code->cut(text, spans);
      EXPECT_FALSE(status.ok()) << pattern;
    }
    std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - start;
    EXPECT_LT(seconds.count(), 5) << pattern;
  }
}

TEST(SplitPattern, WhatMayMeanSomethingElseIsRefused) {
  for (std::string_view pattern : {"",
                                   "a*",
                                   "(?=a)",
                                   "a|",
                                   "^a",
                                   "a$",
                                   "a**",
                                   "a{1,2}+",
                                   "a{1,2}?",
                                   "a{,2}",
                                   "a{3,2}",
                                   "a{1",
                                   "a{1001}",
                                   "(",
                                   "(a",
                                   "a)",
                                   "[a",
                                   "[]a]",
                                   "[a[b]]",
                                   "[a&&b]",
                                   "[[:alpha:]]",
                                   "[b-a]",
                                   "[a-\\s]",
                                   "[\\s-a]",
                                   "[\\S]",
                                   "\\w",
                                   "\\b",
                                   "\\X",
                                   "\\1",
                                   "\\p{Han}",
                                   "\\p{",
                                   "\\p{Cn}",
                                   "\\p{Ll",
                                   "\\pL",
                                   "(?i)a",
                                   "(?<a>b)",
                                   "(?<!a)b",
                                   "(?>a)",
                                   "(?=a)+",
                                   "(?i:[ab])",
                                   "(?i:\\p{L})",
                                   "(?i:stay)",
                                   "(?i:\u00E9)",
                                   "+",
                                   "a|*",
                                   "\\"}) {
    auto result = SplitPattern::compile(pattern);
    EXPECT_FALSE(result.ok()) << pattern;
  }
  std::string deep(100, '(');
  EXPECT_FALSE(SplitPattern::compile(deep + "a" + std::string(100, ')')).ok());
  EXPECT_FALSE(SplitPattern::compile(std::string(5000, 'a')).ok());
}

TEST(SplitPattern, NothingBehindThePatternIsRead) {
  // Exactly as many bytes, so that a sanitizer sees the next one.
  for (std::string_view text :
       {"a{1,", "a{", "a{1", "[", "[a-", "(?", "\\", "\\p", "a|", "(?i:f"}) {
    std::vector<char> bytes(text.begin(), text.end());
    bytes.shrink_to_fit();
    auto pattern = SplitPattern::compile({bytes.data(), bytes.size()});
    EXPECT_FALSE(pattern.ok()) << text;
  }
}

TEST(SplitPattern, RefusalsNameTheirPlace) {
  auto result = SplitPattern::compile("ab\\w");
  EXPECT_EQ(result.status().message(),
            "pattern 'ab\\w': not understood at byte 3: this escape");
}

TEST(SplitPattern, LiteralsAreLiteral) {
  auto pattern = SplitPattern::compileLiteral(".*\u2581[");
  ASSERT_TRUE(pattern.ok());
  EXPECT_EQ(cut(*pattern, "a.*\u2581[b"), (Parts{"[a]", ".*\u2581[", "[b]"}));
  EXPECT_FALSE(SplitPattern::compileLiteral("").ok());
}
