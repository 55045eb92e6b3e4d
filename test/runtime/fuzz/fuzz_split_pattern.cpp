// A text, a line end, and any bytes as a pattern: compiled or refused; a
// compiled one cuts the text into all of its bytes, or says that this would
// take long.
#include "runtime/tokenizer/split_pattern.h"
#include "runtime/tokenizer/utf8.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace coppice::rt;
  std::string_view input(reinterpret_cast<const char *>(data), size);
  size_t line = input.find('\n');
  if (line == input.npos || findInvalidUtf8(input) != input.npos)
    return 0;
  auto pattern = SplitPattern::compile(input.substr(line + 1));
  std::vector<TextSpan> spans;
  std::string_view text = input.substr(0, line);
  if (!pattern || !pattern->cut(text, spans).ok())
    return 0;
  size_t end = 0;
  for (const TextSpan &span : spans) {
    if (span.begin != end || span.end <= span.begin)
      std::abort();
    end = span.end;
  }
  if (end != text.size())
    std::abort();
  return 0;
}
