// Makes tokenizer files for tests.
#ifndef COPPICE_TEST_RUNTIME_EVALUATE_TOKENIZER_FILE_H
#define COPPICE_TEST_RUNTIME_EVALUATE_TOKENIZER_FILE_H

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace coppice::rt::test {

template <typename T> void appendRaw(std::string &bytes, T value) {
  bytes.append(reinterpret_cast<const char *>(&value), sizeof value);
}

inline void appendPiece(std::string &bytes, float score,
                        const std::string &text) {
  appendRaw(bytes, score);
  appendRaw(bytes, static_cast<uint32_t>(text.size()));
  bytes += text;
}

/// The three control ids, the 256 bytes, then `pieces`.
inline std::string
tokenizerFile(const std::vector<std::pair<std::string, float>> &pieces,
              uint32_t longest = 16) {
  std::string bytes;
  appendRaw(bytes, longest);
  appendPiece(bytes, 0, "<unk>");
  appendPiece(bytes, 0, "\n<s>\n");
  appendPiece(bytes, 0, "\n</s>\n");
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    appendPiece(bytes, 0, name);
  }
  for (const auto &[text, score] : pieces)
    appendPiece(bytes, score, text);
  return bytes;
}

} // namespace coppice::rt::test

#endif
