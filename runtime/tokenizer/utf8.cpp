// See utf8.h.
#include "runtime/tokenizer/utf8.h"

namespace coppice::rt {

Utf8Scan scanUtf8(std::string_view text, size_t at) {
  auto byteAt = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byteAt(at);
  if (lead < 0x80)
    return {Utf8Scan::Whole, 1, lead};
  size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                  : lead >= 0xE0 && lead <= 0xEF ? 3
                  : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                 : 0;
  if (length == 0)
    return {Utf8Scan::Wrong, 1};
  // The second byte's range keeps out what is overlong, a surrogate or above
  // U+10FFFF.
  unsigned char least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t character = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if (at + i == text.size())
      return {Utf8Scan::Cut, i};
    unsigned char byte = byteAt(at + i);
    if (byte < least || byte > most)
      return {Utf8Scan::Wrong, i};
    character = character << 6 | (byte & 0x3F);
    least = 0x80;
    most = 0xBF;
  }
  return {Utf8Scan::Whole, length, character};
}

size_t findInvalidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    Utf8Scan scan = scanUtf8(text, at);
    if (scan.kind != Utf8Scan::Whole)
      return at;
    at += scan.bytes;
  }
  return std::string_view::npos;
}

void appendUtf8(std::string &text, char32_t c) {
  auto add = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (c < 0x80) {
    add(c);
    return;
  }
  if (c < 0x800) {
    add(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      add(0xE0 | c >> 12);
    } else {
      add(0xF0 | c >> 18);
      add(0x80 | (c >> 12 & 0x3F));
    }
    add(0x80 | (c >> 6 & 0x3F));
  }
  add(0x80 | (c & 0x3F));
}

bool isWhiteSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

} // namespace coppice::rt
