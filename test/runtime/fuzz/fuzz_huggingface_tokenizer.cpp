// A text, a line end, and any bytes as tokenizer.json: parsed or refused; a
// parsed one encodes the text into ids of its own, or refuses that, and decodes
// them to UTF-8.
#include "runtime/tokenizer/huggingface_tokenizer.h"
#include "runtime/tokenizer/utf8.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace coppice::rt;
  std::string_view input(reinterpret_cast<const char *>(data), size);
  size_t line = input.find('\n');
  if (line == input.npos)
    return 0;
  std::string_view text = input.substr(0, line);
  auto tokenizer = HuggingFaceTokenizer::parse(input.substr(line + 1), 0);
  if (!tokenizer)
    return 0;
  for (SpecialTokens special : {SpecialTokens::AsText, SpecialTokens::Parsed}) {
    auto ids = (*tokenizer)->encode(text, special);
    if (!ids)
      continue;
    auto decoder = (*tokenizer)->decoder();
    std::string decoded;
    for (int32_t id : *ids) {
      if (id < 0 || id >= (*tokenizer)->size())
        std::abort();
      decoded += decoder->next(id);
    }
    decoded += decoder->finish();
    if (findInvalidUtf8(decoded) != std::string_view::npos)
      std::abort();
  }
  return 0;
}
