// The bytes of a llama2.c tokenizer file come in, an encoder and a decoder of
// text go out.
//
// The file: uint32 longest piece, then for each id a f32 score, a uint32
// length and as many bytes; all little-endian. Ids 0, 1 and 2 are unknown, BOS
// and EOS, ids 3 to 258 are the single bytes. The file is untrusted: every
// length is checked against what is left, and a file that does not end where
// its last piece ends is refused.
#ifndef COPPICE_RUNTIME_EVALUATE_TOKENIZER_H
#define COPPICE_RUNTIME_EVALUATE_TOKENIZER_H

#include "runtime/base/status.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace coppice::rt {

class Tokenizer {
public:
  static constexpr int32_t unknown = 0, bos = 1, eos = 2;
  static constexpr int32_t firstByte = 3, firstPiece = 3 + 256;

  /// Reads the bytes of a tokenizer file. `vocabulary` is the number of ids
  /// that the model has (0: not known); a file with another number is refused.
  static Result<Tokenizer> parse(std::string_view file, int64_t vocabulary);
  static Result<Tokenizer> load(const std::string &path, int64_t vocabulary);

  int64_t size() const { return static_cast<int64_t>(pieces.size()); }

  /// BOS, then `text` with a space put before it, merged greedily: of all
  /// neighbours that together are a piece, the pair whose piece scores best is
  /// merged first, the leftmost of equals. A character that is no piece
  /// becomes its bytes. O(n log n), so that a large hostile text is no hazard.
  /// Pieces below 259 are never merged into: text cannot forge a BOS.
  std::vector<int32_t> encode(std::string_view text) const;

  /// The text of one id in a sequence where `previous` precedes it; the space
  /// that encode() put behind BOS is taken away again. Control ids and ids
  /// outside the vocabulary have no text. The view lives as long as the
  /// tokenizer.
  std::string_view decode(int32_t previous, int32_t id) const;

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
