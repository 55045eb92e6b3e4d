// Makes the text of small tokenizer.json files for tests.
#ifndef COPPICE_TEST_RUNTIME_TOKENIZER_TOKENIZER_JSON_H
#define COPPICE_TEST_RUNTIME_TOKENIZER_TOKENIZER_JSON_H

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace coppice::rt::test {

/// In SentencePiece's manner: 0 <unk>, 1 <s> (before every text), 2 </s>, the
/// bytes 3 to 258, then 259 a, 260 b, 261 "▁", 262 ab, 263 "▁a".
inline nlohmann::json sentencePieceJson() {
  using Json = nlohmann::json;
  Json vocab = {{"<unk>", 0}, {"<s>", 1},      {"</s>", 2}, {"a", 259},
                {"b", 260},   {"\u2581", 261}, {"ab", 262}, {"\u2581a", 263}};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    vocab[name] = 3 + byte;
  }
  auto special = [](const char *content, int id) {
    return Json{{"id", id},        {"content", content}, {"single_word", false},
                {"lstrip", false}, {"rstrip", false},    {"normalized", false},
                {"special", true}};
  };
  Json mark = {{"String", "\u2581"}}, space = {{"String", " "}};
  return {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens",
       {special("<unk>", 0), special("<s>", 1), special("</s>", 2)}},
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers",
         {{{"type", "Prepend"}, {"prepend", "\u2581"}},
          {{"type", "Replace"}, {"pattern", space}, {"content", "\u2581"}}}}}},
      {"pre_tokenizer", nullptr},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single",
         {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
          {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
        {"pair", Json::array()},
        {"special_tokens",
         {{"<s>", {{"id", "<s>"}, {"ids", {1}}, {"tokens", {"<s>"}}}}}}}},
      {"decoder",
       {{"type", "Sequence"},
        {"decoders",
         {{{"type", "Replace"}, {"pattern", mark}, {"content", " "}},
          {{"type", "ByteFallback"}},
          {{"type", "Fuse"}},
          {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", "<unk>"},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", true},
        {"byte_fallback", true},
        {"ignore_merges", false},
        {"vocab", vocab},
        {"merges", {"a b", {"\u2581", "a"}}}}}};
}

} // namespace coppice::rt::test

#endif
