// What the reference made of tricky texts (test/reference/make_tokenizers.py),
// reproduced exactly: ids, and the text that they decode to.
#include "runtime/tokenizer/tokenizer.h"

#include "runtime/base/mapped_file.h"
#include "runtime/tokenizer/normalizer.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace coppice::rt;
using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

namespace {

Json readInput(const std::string &name) {
  auto file = MappedFile::open(COPPICE_TOKENIZERS "/" + name);
  EXPECT_TRUE(file.ok()) << file.status().message();
  return file.ok() ? Json::parse(file->text()) : Json();
}

std::string decode(const Tokenizer &tokenizer, const Ids &ids) {
  auto decoder = tokenizer.decoder();
  std::string text;
  for (int32_t id : ids)
    text += decoder->next(id);
  return text + decoder->finish();
}

class RecordedEncodings : public testing::TestWithParam<const char *> {};

} // namespace

TEST_P(RecordedEncodings, AreReproduced) {
  auto tokenizer = Tokenizer::load(
      COPPICE_TOKENIZERS "/" + std::string(GetParam()) + ".json", 0);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  Json all = readInput("encodings.json"), recorded = all[GetParam()];
  EXPECT_EQ((*tokenizer)->size(), recorded["size"].get<int64_t>());
  ASSERT_GT(all["texts"].size(), 80u);
  for (size_t i = 0; i < all["texts"].size(); ++i) {
    std::string text = all["texts"][i].get<std::string>();
    for (SpecialTokens special :
         {SpecialTokens::AsText, SpecialTokens::Parsed}) {
      // Null: as with the names of special tokens as text.
      Json expected = recorded["parsed"][i];
      if (special == SpecialTokens::AsText || expected.is_null())
        expected = recorded["as_text"][i];
      auto ids = (*tokenizer)->encode(text, special);
      ASSERT_TRUE(ids.ok()) << ids.status().message();
      EXPECT_EQ(*ids, expected["ids"].get<Ids>()) << "'" << text << "'";
      EXPECT_EQ(decode(**tokenizer, *ids), expected["text"].get<std::string>())
          << "'" << text << "'";
    }
  }
}

/// What decoding gives of a text by what the style of the tokenizer loses.
static std::string expectedBack(const std::string &style, std::string text) {
  if (style == "qwen")
    return composed(text);
  if (style == "llama3" || style == "gpt2")
    return text;
  // SentencePiece's mark is a space. Where the text has one in front, Mistral
  // puts no other there, and decoding takes it away.
  text = replaceAll(text, "\u2581", " ");
  return style == "mistral" && text.starts_with(' ') ? text.substr(1) : text;
}

TEST_P(RecordedEncodings, DecodeBack) {
  auto tokenizer = Tokenizer::load(
      COPPICE_TOKENIZERS "/" + std::string(GetParam()) + ".json", 0);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  Json texts = readInput("encodings.json")["texts"];
  for (const Json &item : texts) {
    std::string text = item.get<std::string>();
    // An added token of Qwen's whose letters are all in the byte alphabet: the
    // reference decodes it as bytes (as recorded), which it is not.
    if (GetParam() == std::string("qwen") && text.find("kerb") != text.npos)
      continue;
    auto ids = (*tokenizer)->encode(text, SpecialTokens::AsText);
    ASSERT_TRUE(ids.ok());
    EXPECT_EQ(decode(**tokenizer, *ids), expectedBack(GetParam(), text));
  }
}

INSTANTIATE_TEST_SUITE_P(, RecordedEncodings,
                         testing::Values("llama3", "qwen", "llama2", "mistral",
                                         "gpt2"),
                         [](const auto &info) { return info.param; });
