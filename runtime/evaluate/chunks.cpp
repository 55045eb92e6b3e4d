// See chunks.h.
#include "runtime/evaluate/chunks.h"

#include <string>

namespace coppice::rt {

std::vector<std::string_view> splitChunks(std::string_view text,
                                          std::string_view marker) {
  std::vector<std::string_view> chunks;
  auto add = [&](std::string_view chunk) {
    if (!chunk.empty())
      chunks.push_back(chunk);
  };
  if (marker.empty()) {
    add(text);
    return chunks;
  }

  constexpr std::string_view blankLine = "\n\n";
  std::string cut = std::string(blankLine) + std::string(marker);
  size_t begin = 0;
  // The search goes on behind the blank line, not behind the marker: a marker
  // may itself hold the next cut.
  for (size_t at = text.find(cut); at != std::string_view::npos;
       at = text.find(cut, at + blankLine.size())) {
    add(text.substr(begin, at - begin));
    begin = at + blankLine.size();
  }
  add(text.substr(begin));
  return chunks;
}

} // namespace coppice::rt
