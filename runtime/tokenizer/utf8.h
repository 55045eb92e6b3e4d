// UTF-8 text, character by character.
#ifndef COPPICE_RUNTIME_TOKENIZER_UTF8_H
#define COPPICE_RUNTIME_TOKENIZER_UTF8_H

#include <cstddef>
#include <string>
#include <string_view>

namespace coppice::rt {

/// What stands at one place of a text that may not be UTF-8.
struct Utf8Scan {
  enum Kind {
    Whole, ///< a character
    Cut,   ///< the beginning of one, where the text ends
    Wrong, ///< the longest beginning of one, or a byte that begins none
  } kind;
  size_t bytes; ///< at least 1
  char32_t character = 0;
};

/// By table 3-7 of the Unicode standard (no surrogates, nothing overlong).
/// `at` is less than text.size().
Utf8Scan scanUtf8(std::string_view text, size_t at);

/// Where the first byte is that is not UTF-8; npos if there is none.
size_t findInvalidUtf8(std::string_view text);

void appendUtf8(std::string &text, char32_t character);

/// Is the byte the first of a character? (Of text that is UTF-8.)
inline bool beginsCharacter(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

/// The property White_Space (PropList.txt), of which no version of Unicode
/// since 6.3 has another list.
bool isWhiteSpace(char32_t character);

} // namespace coppice::rt

#endif
