// See byte_alphabet.h.
#include "runtime/tokenizer/byte_alphabet.h"

#include "runtime/tokenizer/utf8.h"

#include <array>
#include <cstdint>

namespace coppice::rt {

static bool isPrintable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) ||
         byte >= 0xAE;
}

/// Of each character below U+0200 its byte; -1: not in the alphabet.
static std::array<int16_t, 512> makeAlphabet() {
  std::array<int16_t, 512> bytes;
  bytes.fill(-1);
  size_t next = 256;
  for (int byte = 0; byte < 256; ++byte)
    bytes[isPrintable(byte) ? static_cast<size_t>(byte) : next++] =
        static_cast<int16_t>(byte);
  return bytes;
}

std::optional<std::string> spelledBytes(std::string_view token) {
  static const std::array<int16_t, 512> alphabet = makeAlphabet();
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    Utf8Scan scan = scanUtf8(token, at);
    if (scan.character >= alphabet.size() || alphabet[scan.character] < 0)
      return std::nullopt;
    bytes += static_cast<char>(alphabet[scan.character]);
    at += scan.bytes;
  }
  return bytes;
}

} // namespace coppice::rt
