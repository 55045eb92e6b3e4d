// Normalization form C, by examples of UAX #15 and on hostile text.
#include "runtime/tokenizer/normalizer.h"

#include <chrono>
#include <gtest/gtest.h>

using namespace coppice::rt;

TEST(Normalizer, Composes) {
  EXPECT_EQ(composed("plain"), "plain");
  EXPECT_EQ(composed("e\u0301"), "\u00E9");
  EXPECT_EQ(composed("\u212B"), "\u00C5"); // a singleton
  EXPECT_EQ(composed("\u1E9B\u0323"), "\u1E9B\u0323");
  EXPECT_EQ(composed("d\u0307\u0323"), "\u1E0D\u0307"); // marks in order
  EXPECT_EQ(composed("\u1112\u1161\u11AB"), "\uD55C");  // Hangul
  EXPECT_EQ(composed("\uD55C"), "\uD55C");
  EXPECT_EQ(composed("\u0958"), "\u0915\u093C"); // excluded from composition
  EXPECT_EQ(composed("\uFB01"), "\uFB01");       // no compatibility forms
  EXPECT_EQ(composed("\u0301"), "\u0301");
  // Of two marks of a class the first keeps its place, and blocks the other.
  EXPECT_EQ(composed("a\u0308\u0301"), "\u00E4\u0301");
}

TEST(Normalizer, ReplacementStopsWhereTheResultIsTooLong) {
  EXPECT_EQ(replaceAll("a-a", "a", "bcd"), "bcd-bcd");
  EXPECT_EQ(replaceAll("a-a", "a", "bcd", 7), "bcd-bcd");
  size_t length =
      replaceAll(std::string(1'000'000, 'a'), "a", std::string(64, 'b'), 100)
          .size();
  EXPECT_GT(length, 100u);
  EXPECT_LE(length, 1'000'200u); // what is left is not replaced
}

TEST(Normalizer, ATextOfMarksIsNoHazard) {
  // Marks in descending order of class, over and over: sorted as one run.
  std::string text = "a", expected;
  constexpr int count = 200'000;
  for (int i = 0; i < count; ++i)
    text += "\u0345\u0334";
  auto start = std::chrono::steady_clock::now();
  std::string result = composed(text);
  std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  EXPECT_EQ(result.substr(0, 5), "a\u0334\u0334");
  EXPECT_EQ(result.substr(result.size() - 4), "\u0345\u0345");
  EXPECT_EQ(result.size(), text.size());
  EXPECT_LT(seconds.count(), 5);
}
