// Any bytes as tokenizer.bin: parsed or refused; a parsed one encodes hostile
// text into ids of its own and decodes them.
#include "runtime/tokenizer/llama2c_tokenizer.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace coppice::rt;
  std::string_view file(reinterpret_cast<const char *>(data), size);
  auto tokenizer = Llama2CTokenizer::parse(file, 0);
  if (!tokenizer)
    return 0;
  std::string_view text = file.substr(size - std::min<size_t>(size, 64));
  int32_t previous = -1;
  for (int32_t id : tokenizer->encode(text)) {
    if (id < 0 || id >= tokenizer->size())
      std::abort();
    (void)tokenizer->decode(previous, id);
    previous = id;
  }
  return 0;
}
