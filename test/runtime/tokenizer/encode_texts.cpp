// encode-texts TOKENIZER < TEXTS.json: a list of texts comes in, for each
// [ids, text that they decode to] goes out, first with names of special tokens
// as text, then parsed. For test/reference/compare_tokenizers.py.
#include "runtime/tokenizer/tokenizer.h"

#include <iostream>
#include <nlohmann/json.hpp>

using namespace coppice::rt;

int main(int argc, char **argv) {
  auto fail = [](const std::string &message) {
    std::cerr << "encode-texts: error: " << message << "\n";
    return 1;
  };
  if (argc != 2)
    return fail("usage: encode-texts TOKENIZER < TEXTS.json");
  auto tokenizer = Tokenizer::load(argv[1], 0);
  if (!tokenizer)
    return fail(tokenizer.status().message());
  auto texts = nlohmann::json::parse(std::cin, nullptr, false);
  if (!texts.is_array())
    return fail("expected a list of texts");
  auto results = nlohmann::json::array();
  for (const auto &item : texts)
    for (SpecialTokens special :
         {SpecialTokens::AsText, SpecialTokens::Parsed}) {
      auto ids = (*tokenizer)->encode(item.get<std::string>(), special);
      if (!ids)
        return fail(ids.status().message());
      auto decoder = (*tokenizer)->decoder();
      std::string text;
      for (int32_t id : *ids)
        text += decoder->next(id);
      results.push_back({*ids, text + decoder->finish()});
    }
  std::cout << results << "\n";
}
