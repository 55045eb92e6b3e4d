// tokenizer.json files that are damaged, or ask for what is not understood: one
// error, which names it.
#include "runtime/tokenizer/tokenizer.h"

#include "tokenizer_json.h"

#include <gtest/gtest.h>

using namespace coppice::rt;
using namespace coppice::rt::test;
using Json = nlohmann::json;

namespace {

void expectRefused(const Json &json, const std::string &words) {
  auto tokenizer = Tokenizer::parse(json.dump(), 0);
  ASSERT_FALSE(tokenizer.ok()) << words;
  EXPECT_NE(tokenizer.status().message().find(words), std::string::npos)
      << "expected '" << words << "' in '" << tokenizer.status().message()
      << "'";
}

/// A sound file with the value at `path` replaced.
void expectRefused(const char *path, const Json &value,
                   const std::string &words) {
  Json json = sentencePieceJson();
  json[Json::json_pointer(path)] = value;
  expectRefused(json, words);
}

} // namespace

TEST(TokenizerJson, TheFileAsItIsIsSound) {
  auto tokenizer = Tokenizer::parse(sentencePieceJson().dump(), 0);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
}

TEST(TokenizerJson, OtherModelsAreNamed) {
  expectRefused("/model/type", "Unigram", "model 'Unigram' is not understood");
  // Its vocabulary is a list: that is not what is wrong.
  Json json = sentencePieceJson();
  json["model"] = {
      {"type", "Unigram"}, {"unk_id", 0}, {"vocab", {{"a", -1.5}}}};
  expectRefused(json, "model 'Unigram' is not understood");
  expectRefused("/model", nullptr, "model: expected an object");
  expectRefused("/version", "2.0", "expected '1.0', found '2.0'");
}

TEST(TokenizerJson, OtherStagesAreNamed) {
  Json lowercase = {{"type", "Lowercase"}};
  expectRefused("/normalizer", lowercase, "normalizer 'Lowercase'");
  expectRefused("/normalizer/normalizers/0", lowercase,
                "normalizers[0]: normalizer 'Lowercase'");
  expectRefused("/pre_tokenizer", {{"type", "Whitespace"}},
                "pre-tokenizer 'Whitespace'");
  expectRefused("/post_processor", {{"type", "BertProcessing"}},
                "post-processor 'BertProcessing'");
  expectRefused("/decoder", {{"type", "WordPiece"}}, "decoder 'WordPiece'");
  expectRefused("/decoder", nullptr, "decoder");
  expectRefused("/normalizer/normalizers/1/pattern", {{"Regex", " "}},
                "key 'Regex' is not understood");
  expectRefused("/decoder/decoders/3/stop", 1, "an end that is stripped");
  expectRefused("/decoder/decoders/3/content", "ab", "one character");
  expectRefused("/decoder/decoders/0/content", "longer", "longer one");
  Json json = sentencePieceJson();
  std::swap(json["decoder"]["decoders"][0], json["decoder"]["decoders"][2]);
  expectRefused(json, "not understood in this place");
}

TEST(TokenizerJson, UnknownKeysAreNamed) {
  expectRefused("/extra", 1, "key 'extra'");
  expectRefused("/model/extra", 1, "model: key 'extra'");
  expectRefused("/added_tokens/0/extra", 1, "added_tokens[0]: key 'extra'");
  expectRefused("/normalizer/normalizers/0/extra", 1, "key 'extra'");
  expectRefused("/post_processor/extra", 1, "key 'extra'");
}

TEST(TokenizerJson, VariantsOfBytePairEncodingAreNamed) {
  expectRefused("/model/dropout", 0.1, "dropout");
  expectRefused("/model/continuing_subword_prefix", "##",
                "continuing_subword_prefix: '##'");
  expectRefused("/model/end_of_word_suffix", "</w>", "end_of_word_suffix");
  expectRefused("/model/unk_token", "<none>", "found '<none>'");
  expectRefused("/model/byte_fallback", 3, "true or false");
}

TEST(TokenizerJson, PatternsThatMayMeanSomethingElseAreNamed) {
  Json split = {{"type", "Split"},
                {"pattern", {{"Regex", "\\w+"}}},
                {"behavior", "Isolated"},
                {"invert", false}};
  expectRefused("/pre_tokenizer", split, "pattern '\\w+': not understood");
  split["pattern"] = {{"Regex", "a*"}};
  expectRefused("/pre_tokenizer", split, "matches at least one");
  split["pattern"] = {{"String", ""}};
  expectRefused("/pre_tokenizer", split, "matches at least one");
  split["pattern"] = {{"String", "a"}};
  split["behavior"] = "Sideways";
  expectRefused("/pre_tokenizer", split, "'Sideways'");
  Json bytes = {{"type", "ByteLevel"},
                {"add_prefix_space", false},
                {"trim_offsets", true},
                {"use_regex", true}};
  expectRefused("/pre_tokenizer",
                {{"type", "Sequence"}, {"pretokenizers", {bytes, bytes}}},
                "expected ByteLevel to come last");
  expectRefused("/pre_tokenizer", bytes, "expected false beside ByteLevel");
  expectRefused("/pre_tokenizer",
                {{"type", "Metaspace"}, {"replacement", "ab"}},
                "one character");
  expectRefused("/pre_tokenizer",
                {{"type", "Metaspace"},
                 {"replacement", "_"},
                 {"prepend_scheme", "often"}},
                "always, first or never");
}

TEST(TokenizerJson, VocabulariesHaveEachIdOnce) {
  expectRefused("/model/vocab/a", 260, "same id 260");
  expectRefused("/model/vocab/a", -1, "an id of at least 0");
  expectRefused("/model/vocab/a", 1.5, "an id of at least 0");
  expectRefused("/model/vocab/a", "x", "an id of at least 0");
  expectRefused("/model/vocab/a", 4'000'000'000u, "an id below");
  expectRefused("/model/vocab/a", UINT64_MAX, "an id below");
  expectRefused("/model/vocab", Json::array(),
                "model.vocab: expected an object");
  expectRefused("/added_tokens", 1, "added_tokens: expected an array");
  expectRefused("/added_tokens/1/id", 2,
                "expected 1, its id in the model's vocabulary, found 2");
  expectRefused("/added_tokens/1/content", "<new>",
                "expected 264, the next free id, found 1");
  expectRefused("/added_tokens/1/content", std::string(2000, 'a'),
                "at most 1024 bytes");
  expectRefused("/added_tokens/1/single_word", true,
                "single_word: true is not understood, of token '<s>'");
}

TEST(TokenizerJson, EveryTextHasIds) {
  Json json = sentencePieceJson();
  json["model"]["unk_token"] = nullptr;
  ASSERT_TRUE(Tokenizer::parse(json.dump(), 0).ok());
  json["model"]["vocab"].erase("<0x41>");
  expectRefused(json, "found none for byte 65");
  json["model"]["byte_fallback"] = false;
  expectRefused(json, "found none for byte 0");
}

TEST(TokenizerJson, MergesAreOfTheVocabulary) {
  expectRefused("/model/merges/0", "a c",
                "merge 0: expected 'a', 'c' and 'ac'");
  expectRefused("/model/merges/1", {"a"}, "merge 1: expected [\"a\", \"b\"]");
  expectRefused("/model/merges/1", {"a", 1},
                "merge 1: expected [\"a\", \"b\"]");
  expectRefused("/model/merges/0", "ab", "one space between");
  expectRefused("/model/merges/0", "a b c", "one space between");
  expectRefused("/model/merges", "a b", "merges: expected an array");
}

TEST(TokenizerJson, TemplatesHoldTheText) {
  expectRefused("/post_processor/single/1/Sequence/id", "B",
                "expected the text");
  expectRefused("/post_processor/single", Json::array(), "found none");
  expectRefused("/post_processor/special_tokens/<s>/ids/0", 264,
                "an index below 264");
  expectRefused("/post_processor/special_tokens", Json::object(),
                "missing key '<s>'");
}

// What a small file must not ask for: much memory, or much time for each byte.
TEST(TokenizerJson, AmountsAreBounded) {
  Json json = sentencePieceJson();
  Json &around = json["post_processor"];
  around["special_tokens"]["<s>"]["ids"] = std::vector<int>(100, 1);
  around["single"] = Json::array({around["single"][1]});
  for (int i = 0; i < 11; ++i)
    around["single"].push_back(
        {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}});
  expectRefused(json, "expected at most 1024 ids on a side of the text");
  around["single"].erase(1);
  EXPECT_TRUE(Tokenizer::parse(json.dump(), 0).ok());
  around = {{"type", "Sequence"}, {"processors", {around, around}}};
  expectRefused(json, "expected at most 1024 ids on a side of the text");

  const std::string text(65, 'a');
  expectRefused("/normalizer/normalizers/1/pattern/String", text,
                "expected at most 64 bytes to replace, found 65");
  expectRefused("/decoder/decoders/0/pattern/String", text,
                "replaces more than 64 bytes");

  // Spaces become three bytes each.
  json = sentencePieceJson();
  Json token = json["added_tokens"][0];
  token.update(
      {{"id", 264}, {"content", std::string(400, ' ')}, {"normalized", true}});
  json["added_tokens"].push_back(token);
  expectRefused(json,
                "expected at most 1024 bytes when normalized, found 1203");
  json = sentencePieceJson();
  token["normalized"] = false;
  for (int i = 0; i < 17'000; ++i) {
    std::string content = std::to_string(i);
    content.resize(1000, 'x');
    token.update({{"id", 264 + i}, {"content", content}});
    json["added_tokens"].push_back(token);
  }
  expectRefused(json, "bytes of added tokens");
}

TEST(TokenizerJson, DamagedTextIsRefused) {
  std::string good = sentencePieceJson().dump();
  for (size_t length = 1; length < good.size(); length += 7)
    EXPECT_FALSE(Tokenizer::parse(good.substr(0, length), 0).ok()) << length;
  EXPECT_FALSE(Tokenizer::parse(good + "x", 0).ok());
  // Equal keys, of which parsers keep one or the other.
  size_t place = good.find("\"ab\":262");
  ASSERT_NE(place, good.npos);
  auto twice = Tokenizer::parse(
      good.substr(0, place) + "\"ab\":264," + good.substr(place), 0);
  ASSERT_FALSE(twice.ok());
  EXPECT_NE(twice.status().message().find("key 'ab' appears twice"),
            std::string::npos);
}

TEST(TokenizerJson, MissingKeysAreNamed) {
  for (const char *key :
       {"version", "added_tokens", "normalizer", "pre_tokenizer",
        "post_processor", "decoder", "model"}) {
    Json json = sentencePieceJson();
    json.erase(key);
    expectRefused(json, key);
  }
  for (const char *key : {"vocab", "merges"}) {
    Json json = sentencePieceJson();
    json["model"].erase(key);
    expectRefused(json, key);
  }
}
