// Byte-level vocabularies are written in 256 printable characters, one for each
// byte (GPT-2's bytes_to_unicode): bytes that are printable in Latin-1 stand
// for themselves, the others are U+0100, U+0101, .. in their order.
#ifndef COPPICE_RUNTIME_TOKENIZER_BYTE_ALPHABET_H
#define COPPICE_RUNTIME_TOKENIZER_BYTE_ALPHABET_H

#include <optional>
#include <string>
#include <string_view>

namespace coppice::rt {

/// The bytes that `token`, which is UTF-8, spells; nothing if one of its
/// characters is not in the alphabet.
std::optional<std::string> spelledBytes(std::string_view token);

} // namespace coppice::rt

#endif
