// The bytes of a llama2.c tokenizer file come in, an encoder and a decoder of
// text go out.
//
// The file: uint32 longest piece, then for each id a f32 score, a uint32
// length and as many bytes; all little-endian. Ids 0, 1 and 2 are unknown, BOS
// and EOS, ids 3 to 258 are the single bytes. The file is untrusted: every
// length is checked against what is left, and a file that does not end where
// its last piece ends is refused.
#ifndef COPPICE_RUNTIME_TOKENIZER_LLAMA2C_TOKENIZER_H
#define COPPICE_RUNTIME_TOKENIZER_LLAMA2C_TOKENIZER_H

#include "runtime/tokenizer/tokenizer.h"

#include <unordered_map>

namespace coppice::rt {

class Llama2CTokenizer final : public Tokenizer {
public:
  static constexpr int32_t unknown = 0, bos = 1, eos = 2;
  static constexpr int32_t firstByte = 3, firstPiece = 3 + 256;

  /// Reads the bytes of a tokenizer file. `vocabulary` is the number of ids
  /// that the model has (0: not known); a file with another number is refused.
  static Result<Llama2CTokenizer> parse(std::string_view file,
                                        int64_t vocabulary);

  int64_t size() const override { return static_cast<int64_t>(pieces.size()); }

  /// BOS, then `text` with a space put before it, merged greedily: of all
  /// neighbours that together are a piece, the pair whose piece scores best is
  /// merged first, the leftmost of equals. A character that is no piece
  /// becomes its bytes. O(n log n), so that a large hostile text is no hazard.
  /// Pieces below 259 are never merged into: text cannot forge a BOS.
  std::vector<int32_t> encode(std::string_view text) const;

  /// The same. Such files do not say which pieces are special: to parse them
  /// is unsupported. Texts of more than 64 MiB are refused.
  Result<std::vector<int32_t>> encode(std::string_view text,
                                      SpecialTokens special) const override;

  /// The text of one id in a sequence where `previous` precedes it; the space
  /// that encode() put behind BOS is taken away again. Control ids and ids
  /// outside the vocabulary have no text. The view lives as long as the
  /// tokenizer.
  std::string_view decode(int32_t previous, int32_t id) const;

  /// Hands out bytes as they come, whole characters or not.
  std::unique_ptr<TextDecoder> decoder() const override;

private:
  struct Piece {
    std::string text;
    float score;
  };

  int32_t find(const std::string &text) const;

  std::vector<Piece> pieces;
  std::unordered_map<std::string, int32_t> ids;
};

} // namespace coppice::rt

#endif
