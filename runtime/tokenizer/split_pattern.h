// Where a pattern matches in a text: a compiled regular expression (PCRE2).
//
// Patterns come with a file and texts from anywhere, so neither may make the
// search take long. A match is tried at one character after the other, on a
// window of the text that grows only where the match runs into its end; steps
// of the matcher are bounded by the window, and all windows together by the
// text. A pattern that wants more is an error, not a wait.
#ifndef COPPICE_RUNTIME_TOKENIZER_SPLIT_PATTERN_H
#define COPPICE_RUNTIME_TOKENIZER_SPLIT_PATTERN_H

#include "runtime/base/status.h"

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace coppice::rt {

/// The bytes [begin, end) of a text.
struct TextSpan {
  size_t begin, end;
  bool matched;
};

class SplitPattern {
public:
  /// `pattern` is in Oniguruma's syntax (oniguruma_pattern.h); one that matches
  /// nothing at all ("") is refused.
  static Result<SplitPattern> compile(std::string_view pattern);
  static Result<SplitPattern> compileLiteral(std::string_view text);

  /// All of `text`, which is UTF-8, cut into matches (leftmost, first
  /// alternative first) and what is between them; no span is empty.
  Status cut(std::string_view text, std::vector<TextSpan> &spans) const;

private:
  struct Code;
  static Result<SplitPattern> compileTranslated(std::string_view pattern);

  std::shared_ptr<const Code> code;
};

} // namespace coppice::rt

#endif
