// The "normalizer" of a tokenizer.json: text in, the text that is tokenized
// out.
#ifndef COPPICE_RUNTIME_TOKENIZER_NORMALIZER_H
#define COPPICE_RUNTIME_TOKENIZER_NORMALIZER_H

#include "runtime/bundle/json_cursor.h"

#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

class Normalizer {
public:
  /// null, NFC, Prepend, Replace of a string, or a Sequence of these; the
  /// cursor's sink gets an error that names anything else.
  static Normalizer read(const JsonCursor &json);

  /// `text` is UTF-8. Fails only where the result would be absurdly long.
  Result<std::string> apply(std::string_view text) const;

private:
  struct Step {
    enum { NFC, Prepend, Replace } kind;
    std::string pattern, content;
  };
  void readInto(const JsonCursor &json);

  std::vector<Step> steps;
};

/// The longest pattern of a replacement: a search may take the text's length
/// times the pattern's.
constexpr size_t mostPatternBytes = 64;

/// `text` with `content` wherever it has `pattern`, which is not empty. Stops
/// where the result has more than `most` bytes: what it gives then is longer
/// than that.
std::string replaceAll(std::string_view text, std::string_view pattern,
                       std::string_view content,
                       size_t most = std::string::npos);

/// Unicode's normalization form C (UAX #15). O(n log n) for any UTF-8 text.
std::string composed(std::string_view text);

} // namespace coppice::rt

#endif
