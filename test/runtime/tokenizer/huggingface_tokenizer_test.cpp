// What the recorded encodings cannot show: streams, forging, long texts, sizes.
#include "runtime/tokenizer/huggingface_tokenizer.h"

#include "tokenizer_json.h"

#include <chrono>
#include <gtest/gtest.h>

using namespace coppice::rt;
using namespace coppice::rt::test;
using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

namespace {

std::unique_ptr<HuggingFaceTokenizer> parsed(const Json &json,
                                             int64_t vocabulary = 0) {
  auto tokenizer = HuggingFaceTokenizer::parse(json.dump(), vocabulary);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

Ids encoded(const Tokenizer &tokenizer, std::string_view text,
            SpecialTokens special = SpecialTokens::AsText) {
  auto ids = tokenizer.encode(text, special);
  EXPECT_TRUE(ids.ok()) << ids.status().message();
  return ids.ok() ? *ids : Ids{};
}

std::unique_ptr<Tokenizer> loaded(const std::string &name) {
  auto tokenizer = Tokenizer::load(COPPICE_TOKENIZERS "/" + name + ".json", 0);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return *std::move(tokenizer);
}

} // namespace

TEST(HuggingFaceTokenizer, EncodesByHand) {
  auto tokenizer = parsed(sentencePieceJson());
  EXPECT_EQ(encoded(*tokenizer, ""), Ids{1});
  EXPECT_EQ(encoded(*tokenizer, "ab"), (Ids{1, 261, 262})); // "a b" is first
  EXPECT_EQ(encoded(*tokenizer, "a a"), (Ids{1, 263, 263}));
  EXPECT_EQ(encoded(*tokenizer, "z"), (Ids{1, 261, 3 + 'z'}));
  EXPECT_EQ(encoded(*tokenizer, "\u00E9"), (Ids{1, 261, 3 + 0xC3, 3 + 0xA9}));
}

TEST(HuggingFaceTokenizer, SpecialTokensAreParsedOnlyWhenAskedFor) {
  auto tokenizer = parsed(sentencePieceJson());
  EXPECT_EQ(encoded(*tokenizer, "</s>b", SpecialTokens::Parsed),
            (Ids{1, 2, 261, 260}));
  EXPECT_EQ(encoded(*tokenizer, "</s>"),
            (Ids{1, 261, 3 + '<', 3 + '/', 3 + 's', 3 + '>'}));
}

TEST(HuggingFaceTokenizer, NoTextForgesSpecialTokens) {
  // A file where merges, single characters and whole pieces lead to them.
  Json json = sentencePieceJson();
  json["model"]["ignore_merges"] = true;
  json["added_tokens"].push_back(json["added_tokens"][1]);
  json["added_tokens"].back().update({{"id", 262}, {"content", "ab"}});
  json["added_tokens"].push_back(json["added_tokens"][1]);
  json["added_tokens"].back().update({{"id", 260}, {"content", "b"}});
  json["normalizer"] = nullptr;
  auto tokenizer = parsed(json);
  EXPECT_EQ(encoded(*tokenizer, "ab"), (Ids{1, 259, 3 + 'b'}));
  EXPECT_EQ(encoded(*tokenizer, "<s>"), (Ids{1, 3 + '<', 3 + 's', 3 + '>'}));
  EXPECT_EQ(encoded(*tokenizer, "aab", SpecialTokens::Parsed),
            (Ids{1, 259, 262}));
}

TEST(HuggingFaceTokenizer, StreamsWholeCharacters) {
  auto tokenizer = parsed(sentencePieceJson());
  auto stream = tokenizer->decoder();
  EXPECT_EQ(stream->next(1), "");    // special
  EXPECT_EQ(stream->next(263), "a"); // the space in front is not the text's
  EXPECT_EQ(stream->next(263), " a");
  EXPECT_EQ(stream->next(3 + 0xE2), "");
  EXPECT_EQ(stream->next(3 + 0x96), "");
  EXPECT_EQ(stream->next(2), ""); // special: does not end a character
  EXPECT_EQ(stream->next(3 + 0x81), "\u2581");
  EXPECT_EQ(stream->next(3 + 0xC3), "");
  EXPECT_EQ(stream->next(260), "\uFFFDb"); // it was none
  EXPECT_EQ(stream->next(3 + 0x80), "\uFFFD");
  EXPECT_EQ(stream->next(-1), "");
  EXPECT_EQ(stream->next(1 << 30), "");
  EXPECT_EQ(stream->next(3 + 0xF0), "");
  EXPECT_EQ(stream->next(3 + 0x9F), "");
  EXPECT_EQ(stream->finish(), "\uFFFD\uFFFD"); // a byte each, as the reference
  EXPECT_EQ(stream->finish(), "");

  // At the byte level too, where tokens end within characters.
  auto llama3 = loaded("llama3");
  stream = llama3->decoder();
  std::string text = "\U0001F9D1\u200D\U0001F680 \u00E9", decoded;
  for (int32_t id : encoded(*llama3, text)) {
    std::string part = stream->next(id);
    EXPECT_EQ(part.find("\uFFFD"), part.npos);
    decoded += part;
  }
  EXPECT_EQ(decoded + stream->finish(), text);
}

TEST(HuggingFaceTokenizer, TextThatIsNotUtf8IsRefused) {
  auto tokenizer = parsed(sentencePieceJson());
  for (std::string_view text : {"a\xFF", "a\x80", "a\xC3", "a\xC0\x80",
                                "a\xED\xA0\x80", "a\xF4\x90\x80\x80"}) {
    auto ids = tokenizer->encode(text, SpecialTokens::AsText);
    ASSERT_FALSE(ids.ok());
    EXPECT_NE(ids.status().message().find("expected UTF-8"), std::string::npos);
    EXPECT_NE(ids.status().message().find("at 1 of"), std::string::npos);
  }
}

TEST(HuggingFaceTokenizer, ModelsMayHaveMoreIds) {
  Json json = sentencePieceJson();
  EXPECT_EQ(parsed(json, 264)->size(), 264);
  EXPECT_EQ(parsed(json, 320)->size(), 264); // a padded embedding
  auto tokenizer = HuggingFaceTokenizer::parse(json.dump(), 263);
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_NE(tokenizer.status().message().find("an id below 263"),
            std::string::npos)
      << tokenizer.status().message();
}

TEST(HuggingFaceTokenizer, LongTextsAreNoHazard) {
  auto start = std::chrono::steady_clock::now();
  auto tokenizer = parsed(sentencePieceJson());
  EXPECT_EQ(encoded(*tokenizer, std::string(300'000, 'a')).size(), 300'001u);
  for (std::string name : {"llama3", "qwen", "gpt2", "mistral"}) {
    auto other = loaded(name);
    for (std::string part : {"a", " ", "\n", " \n", "1", "!", "\u0301", "<"}) {
      std::string text;
      while (text.size() < 100'000)
        text += part;
      EXPECT_GT(encoded(*other, text, SpecialTokens::Parsed).size(), 1u)
          << name << " '" << part << "'";
    }
  }
  std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 30);
}

/// A token that is no part of the model's vocabulary.
static Json addedToken(int id, const std::string &content) {
  return {{"id", id},        {"content", content}, {"single_word", false},
          {"lstrip", false}, {"rstrip", false},    {"normalized", false},
          {"special", false}};
}

TEST(HuggingFaceTokenizer, AddedTokensOfSpacesTakeLinearTime) {
  // Each takes all spaces behind it, and each of those is one, too.
  Json json = sentencePieceJson();
  json["added_tokens"].push_back(addedToken(264, " "));
  json["added_tokens"].back()["rstrip"] = true;
  auto tokenizer = parsed(json);
  auto start = std::chrono::steady_clock::now();
  Ids ids = encoded(*tokenizer, std::string(1'000'000, ' ') + "a  b");
  std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  // BOS, the spaces, "\u2581a", two spaces, "\u2581" and "b".
  EXPECT_EQ(ids.size(), 1'000'006u);
  EXPECT_LT(seconds.count(), 20);
}

TEST(HuggingFaceTokenizer, AddedTokensThatTakeLongAreRefused) {
  Json json = sentencePieceJson();
  json["added_tokens"].push_back(addedToken(264, std::string(1000, 'a') + "b"));
  auto tokenizer = parsed(json);
  std::string text(200'000, 'a');
  auto ids = tokenizer->encode(text, SpecialTokens::AsText);
  ASSERT_FALSE(ids.ok());
  EXPECT_NE(ids.status().message().find("added tokens take too many steps"),
            std::string::npos)
      << ids.status().message();
  EXPECT_EQ(encoded(*tokenizer, std::string(1000, 'a') + "b").back(), 264);
}

TEST(HuggingFaceTokenizer, TextsDoNotGrowWithoutMeasure) {
  Json json = sentencePieceJson(), steps = Json::array();
  steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  for (const char *mark :
       {"\U0001F600", "\U0001F601", "\U0001F602", "\U0001F603"})
    steps.push_back({{"type", "Metaspace"},
                     {"replacement", mark},
                     {"prepend_scheme", "always"},
                     {"split", false}});
  json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
  auto ids =
      parsed(json)->encode(std::string(1000, '1'), SpecialTokens::AsText);
  ASSERT_FALSE(ids.ok());
  EXPECT_NE(ids.status().message().find("more than 16 times as many"),
            std::string::npos)
      << ids.status().message();
}

TEST(HuggingFaceTokenizer, TemplatesMayPutIdsBehind) {
  Json json = sentencePieceJson();
  json["post_processor"]["single"].push_back(
      {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}});
  EXPECT_EQ(encoded(*parsed(json), "a"), (Ids{1, 263, 1}));
  json["post_processor"] = nullptr;
  EXPECT_EQ(encoded(*parsed(json), "a"), (Ids{263}));
}

TEST(HuggingFaceTokenizer, BothFormsOfMergesAreRead) {
  Json json = sentencePieceJson(), pairs = json;
  pairs["model"]["merges"] = Json::array({Json{"a", "b"}, Json{"\u2581", "a"}});
  EXPECT_EQ(encoded(*parsed(pairs), "ab a"), encoded(*parsed(json), "ab a"));
}

TEST(HuggingFaceTokenizer, SplitBehaviorsAreTheReferences) {
  // Of "The-final--countdown" cut at "-"; what the reference's own tests have.
  Json json = sentencePieceJson();
  json["normalizer"] = nullptr;
  json["post_processor"] = nullptr;
  // A merge of "-" with either neighbour shows where pieces end.
  Json &vocab = json["model"]["vocab"];
  vocab["-"] = 264;
  vocab["a-"] = 265;
  vocab["-a"] = 266;
  vocab["--"] = 267;
  json["model"]["merges"] = {"- -", "a -", "- a"};
  auto ids = [&](const char *behavior, bool invert = false) {
    json["pre_tokenizer"] = {{"type", "Split"},
                             {"pattern", {{"String", "-"}}},
                             {"behavior", behavior},
                             {"invert", invert}};
    return encoded(*parsed(json), "a-a--a");
  };
  EXPECT_EQ(ids("Removed"), (Ids{259, 259, 259}));
  EXPECT_EQ(ids("Removed", true), (Ids{264, 264, 264}));
  EXPECT_EQ(ids("Isolated"), (Ids{259, 264, 259, 264, 264, 259}));
  EXPECT_EQ(ids("MergedWithPrevious"), (Ids{265, 265, 264, 259}));
  EXPECT_EQ(ids("MergedWithNext"), (Ids{259, 266, 264, 266}));
  EXPECT_EQ(ids("Contiguous"), (Ids{259, 264, 259, 267, 259}));
}
