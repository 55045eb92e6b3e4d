// llama2.c tokenizers: hand-made files, damaged ones, and a real one where it
// is at hand.
#include "runtime/base/mapped_file.h"
#include "runtime/evaluate/chunks.h"
#include "runtime/tokenizer/llama2c_tokenizer.h"

#include "tokenizer_file.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>

using namespace coppice::rt;
using namespace coppice::rt::test;

namespace {

using Ids = std::vector<int32_t>;

/// Ids from 259 on, in this order.
enum : int32_t { space = 259, a, b, c, ab, bc, abc, spaceA, eAcute };

Llama2CTokenizer small() {
  auto tokenizer = Llama2CTokenizer::parse(tokenizerFile({{" ", -9},
                                                          {"a", -9},
                                                          {"b", -9},
                                                          {"c", -9},
                                                          {"ab", -2},
                                                          {"bc", -1},
                                                          {"abc", -3},
                                                          {" a", -4},
                                                          {"\xC3\xA9", -5}}),
                                           0);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return *std::move(tokenizer);
}

std::string decodeAll(const Llama2CTokenizer &tokenizer, const Ids &ids) {
  std::string text;
  for (size_t i = 1; i < ids.size(); ++i)
    text += tokenizer.decode(ids[i - 1], ids[i]);
  return text;
}

std::string dataFolder() {
  const char *named = std::getenv("COPPICE_TEST_DATA");
  return named ? named : COPPICE_TEST_DATA;
}

} // namespace

TEST(Llama2CTokenizer, MergesTheBestScoreFirst) {
  // "bc" outranks "ab", then nothing makes "abc" but "a" + "bc".
  EXPECT_EQ(small().encode("abc"), (Ids{1, space, abc}));
  EXPECT_EQ(small().encode("ab"), (Ids{1, space, ab}));
  EXPECT_EQ(small().encode("bcbc"), (Ids{1, space, bc, bc}));
  EXPECT_EQ(small().encode("a"), (Ids{1, spaceA}));
}

TEST(Llama2CTokenizer, MergesTheLeftmostOfEquals) {
  auto tokenizer = Llama2CTokenizer::parse(
      tokenizerFile({{" ", 0}, {"a", 0}, {"aa", -1}}), 262);
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(tokenizer->encode("aaa"), (Ids{1, 259, 261, 260}));
}

TEST(Llama2CTokenizer, EmptyTextIsBosAlone) {
  EXPECT_EQ(small().encode(""), (Ids{1}));
}

TEST(Llama2CTokenizer, UnknownCharactersBecomeTheirBytes) {
  EXPECT_EQ(small().encode("z"), (Ids{1, space, 3 + 'z'}));
  EXPECT_EQ(small().encode("\xC3\xA9"), (Ids{1, space, eAcute}));
  EXPECT_EQ(small().encode("\xC3\xA8"), (Ids{1, space, 3 + 0xC3, 3 + 0xA8}));
  // Not UTF-8 at all.
  EXPECT_EQ(small().encode("\xFF\x80"), (Ids{1, space, 3 + 0xFF, 3 + 0x80}));
}

TEST(Llama2CTokenizer, TextCannotForgeControlIds) {
  for (int32_t id : small().encode("\n<s>\n<unk><0x41>"))
    EXPECT_TRUE(id == Llama2CTokenizer::bos ||
                id >= Llama2CTokenizer::firstByte);
  EXPECT_EQ(small().encode("<unk>")[2], 3 + '<');
}

TEST(Llama2CTokenizer, DecodingUndoesEncoding) {
  Llama2CTokenizer tokenizer = small();
  for (std::string text :
       {"abc", " abc", "  a", "x\ny\xC3\xA9", "\xFF", "aaabbbccc ab c"})
    EXPECT_EQ(decodeAll(tokenizer, tokenizer.encode(text)), text);
  // The space goes only where encode() has put it.
  EXPECT_EQ(tokenizer.decode(a, space), " ");
  EXPECT_EQ(tokenizer.decode(1, spaceA), "a");
  EXPECT_EQ(tokenizer.decode(0, 1), "");
  EXPECT_EQ(tokenizer.decode(0, -1), "");
  EXPECT_EQ(tokenizer.decode(0, 1 << 20), "");
}

TEST(Llama2CTokenizer, IsOneOfTheTokenizers) {
  auto tokenizer =
      Tokenizer::parse(tokenizerFile({{"a", -1}, {"ab", -2}}), 261);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->size(), 261);
  EXPECT_EQ(*(*tokenizer)->encode("a", SpecialTokens::AsText),
            (Ids{1, 3 + ' ', 259}));
  // The file does not say what is special.
  EXPECT_FALSE((*tokenizer)->encode("a", SpecialTokens::Parsed).ok());
  auto decoder = (*tokenizer)->decoder();
  EXPECT_EQ(decoder->next(1), "");
  EXPECT_EQ(decoder->next(3 + ' '), ""); // put there by encode()
  EXPECT_EQ(decoder->next(3 + ' '), " ");
  EXPECT_EQ(decoder->next(3 + 0xC3), "\xC3"); // at once
  EXPECT_EQ(decoder->finish(), "");
}

TEST(Llama2CTokenizer, ALongTextIsNoHazard) {
  std::string text(300'000, 'a');
  EXPECT_EQ(small().encode(text).size(), 300'001u);
}

TEST(Llama2CTokenizer, TextsWhosePlacesMayOverflowAreRefused) {
  auto ids = small().encode(std::string((size_t(64) << 20) + 1, 'a'),
                            SpecialTokens::AsText);
  ASSERT_FALSE(ids.ok());
  EXPECT_NE(ids.status().message().find("expected at most 67108864 bytes"),
            std::string::npos)
      << ids.status().message();
}

TEST(Llama2CTokenizer, DamagedFilesAreRefused) {
  std::string good = tokenizerFile({{"a", -1}, {"bc", -2}});
  ASSERT_TRUE(Llama2CTokenizer::parse(good, 261).ok());
  // Every cut but those between two pieces, of which 259 or 260 are too few.
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(Llama2CTokenizer::parse(good.substr(0, length), 261).ok())
        << length;
  EXPECT_FALSE(Llama2CTokenizer::parse(good + "x", 0).ok());
  EXPECT_FALSE(Llama2CTokenizer::parse(good, 262).ok());
  EXPECT_FALSE(Llama2CTokenizer::parse(tokenizerFile({{"abc", 0}}, 2), 0).ok());

  auto with = [&](float score, uint32_t length) {
    std::string bytes = good;
    appendRaw(bytes, score);
    appendRaw(bytes, length);
    return bytes;
  };
  EXPECT_TRUE(Llama2CTokenizer::parse(with(0, 0), 262).ok());
  EXPECT_FALSE(Llama2CTokenizer::parse(with(NAN, 0), 262).ok());
  EXPECT_FALSE(Llama2CTokenizer::parse(with(INFINITY, 0), 262).ok());
  EXPECT_FALSE(Llama2CTokenizer::parse(with(0, 5), 262).ok());
  EXPECT_FALSE(Llama2CTokenizer::parse(with(0, UINT32_MAX), 262).ok());
}

TEST(Llama2CTokenizer, CountsTheTokensOfTheProtocol) {
  // 200 chunks of TinyStories have 67,767 predicted tokens at a context of 512.
  std::string folder = dataFolder();
  auto tokenizer =
      Tokenizer::load(folder + "/models/stories260K/tok512.bin", 512);
  auto text =
      MappedFile::open(folder + "/eval/tinystories/tinystories_val.txt");
  if (!tokenizer.ok() || !text.ok())
    GTEST_SKIP() << "no tokenizer and text in " << folder
                 << "; COPPICE_TEST_DATA names another folder";
  auto chunks = splitChunks(text->text(), "Once upon a time");
  ASSERT_GE(chunks.size(), 200u);
  int64_t predicted = 0;
  for (size_t i = 0; i < 200; ++i) {
    auto ids = (*tokenizer)->encode(chunks[i], SpecialTokens::AsText);
    ASSERT_TRUE(ids.ok());
    predicted += static_cast<int64_t>(std::min<size_t>(ids->size(), 512)) - 1;
    auto decoder = (*tokenizer)->decoder();
    std::string decoded;
    for (int32_t id : *ids)
      decoded += decoder->next(id);
    EXPECT_EQ(decoded, chunks[i]);
  }
  EXPECT_EQ(predicted, 67767);
}
