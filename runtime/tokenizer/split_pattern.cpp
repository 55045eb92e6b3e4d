// See split_pattern.h.
#include "runtime/tokenizer/split_pattern.h"

#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"
#include "runtime/tokenizer/oniguruma_pattern.h"
#include "runtime/tokenizer/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <string>

namespace coppice::rt {

struct SplitPattern::Code {
  explicit Code(pcre2_code *compiled) : compiled(compiled) {}
  Code(const Code &) = delete;
  Code &operator=(const Code &) = delete;
  ~Code() { pcre2_code_free(compiled); }

  pcre2_code *compiled;
};

Result<SplitPattern> SplitPattern::compile(std::string_view pattern) {
  Result<std::string> translated = translateOniguruma(pattern);
  if (!translated)
    return translated.status();
  auto compiled = compileTranslated(*translated);
  return compiled ? std::move(compiled)
                  : compiled.status().at(concat("pattern ", quote(pattern)));
}

Result<SplitPattern> SplitPattern::compileLiteral(std::string_view text) {
  return compileTranslated(literalPattern(text));
}

Result<SplitPattern> SplitPattern::compileTranslated(std::string_view pattern) {
  int error = 0;
  size_t place = 0;
  pcre2_code *compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()),
                    pattern.size(), PCRE2_UTF, &error, &place, nullptr);
  if (!compiled) {
    PCRE2_UCHAR message[128] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return unsupported(
        concat("not understood: ", reinterpret_cast<const char *>(message)));
  }
  SplitPattern result;
  result.code = std::make_shared<const Code>(compiled);
  uint32_t matchesEmpty = 0;
  pcre2_pattern_info(compiled, PCRE2_INFO_MATCHEMPTY, &matchesEmpty);
  if (matchesEmpty)
    return unsupported("expected a pattern that matches at least one "
                       "character, found one that matches none");
  return result;
}

namespace {
/// What a search needs besides the pattern; freed together.
struct Search {
  pcre2_match_data *data;
  pcre2_match_context *context;

  explicit Search(const pcre2_code *code)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)),
        context(pcre2_match_context_create(nullptr)) {}
  Search(const Search &) = delete;
  Search &operator=(const Search &) = delete;
  ~Search() {
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};
} // namespace

Status SplitPattern::cut(std::string_view text,
                         std::vector<TextSpan> &spans) const {
  constexpr size_t firstWindow = 256, stepsPerByte = 16;
  size_t budget = (size_t(1) << 20) + 64 * text.size(); // bytes of all windows
  Search search(code->compiled);
  if (!search.data || !search.context)
    return outOfMemory("no memory to match a pattern");
  auto takesTooLong = [&](size_t at) {
    return unsupported(concat("a pattern of the tokenizer takes too many steps "
                              "at byte ",
                              at, " of the text"));
  };
  size_t begin = 0; // of what has not matched
  auto close = [&](size_t end) {
    if (begin < end)
      spans.push_back({begin, end, false});
  };
  for (size_t at = 0; at < text.size();) {
    int found = 0;
    for (size_t window = firstWindow;; window *= 4) {
      size_t end = std::min(text.size(), at + window);
      while (end < text.size() && !beginsCharacter(text[end]))
        ++end;
      bool whole = end == text.size();
      pcre2_set_match_limit(search.context,
                            static_cast<uint32_t>(std::min<size_t>(
                                stepsPerByte * (end - at) + 64, UINT32_MAX)));
      found = pcre2_match(code->compiled,
                          reinterpret_cast<PCRE2_SPTR>(text.data()), end, at,
                          PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK |
                              (whole ? 0 : PCRE2_PARTIAL_HARD),
                          search.data, search.context);
      if (found != PCRE2_ERROR_PARTIAL)
        break;
      if (budget < end - at)
        return takesTooLong(at);
      budget -= end - at;
    }
    if (found == PCRE2_ERROR_NOMATCH) {
      do
        ++at;
      while (at < text.size() && !beginsCharacter(text[at]));
      continue;
    }
    if (found == PCRE2_ERROR_MATCHLIMIT || found == PCRE2_ERROR_DEPTHLIMIT ||
        found == PCRE2_ERROR_HEAPLIMIT)
      return takesTooLong(at);
    if (found == PCRE2_ERROR_NOMEMORY)
      return outOfMemory("no memory to match a pattern");
    if (found < 0)
      return internalError(concat("PCRE2 gives error ", found));
    close(at);
    size_t end = pcre2_get_ovector_pointer(search.data)[1];
    if (end <= at)
      return internalError("a pattern matched nothing");
    spans.push_back({at, end, true});
    begin = at = end;
  }
  close(text.size());
  return {};
}

} // namespace coppice::rt
