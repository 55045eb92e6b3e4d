// Byte-pair encoding: the "model" of a tokenizer.json. A piece of text in, its
// ids out.
//
// A piece begins as its characters (its bytes, where the vocabulary is spelled
// in them); then, of all neighbours that the list of merges has, those that
// stand first in the list are joined, the leftmost of equals, until there are
// none. (Sennrich et al. 2016, as the `tokenizers` library does it.)
#ifndef COPPICE_RUNTIME_TOKENIZER_BYTE_PAIR_ENCODING_H
#define COPPICE_RUNTIME_TOKENIZER_BYTE_PAIR_ENCODING_H

#include "runtime/tokenizer/vocabulary.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace coppice::rt {

class BytePairEncoding {
public:
  /// "model" of a tokenizer.json. `byteLevel`: pieces are bytes, and tokens are
  /// spelled by byte_alphabet.h. Anything not understood, and a vocabulary that
  /// has no ids for some text, is an error in the cursor's sink.
  static BytePairEncoding read(const JsonCursor &model,
                               const Vocabulary &vocabulary, bool byteLevel);

  /// Appends the ids of `piece`, which is UTF-8 and less than 2^31 bytes. No id
  /// is that of a special token, but for the token of what is unknown.
  /// O(n log n).
  void encode(std::string_view piece, std::vector<int32_t> &ids) const;

private:
  struct Merge {
    int32_t rank, id;
  };
  // Of pairs that a file chooses: mixed, so that it cannot pick the buckets.
  struct PairHash {
    size_t operator()(uint64_t pair) const;
  };

  void readMerges(const JsonCursor &merges, const Vocabulary &vocabulary);
  void checkComplete(const JsonCursor &model) const;
  const Merge *find(int32_t left, int32_t right) const;
  void appendBytes(std::string_view piece, std::vector<int32_t> &ids) const;
  void appendCharacters(std::string_view piece,
                        std::vector<int32_t> &ids) const;

  bool byteLevel = false, wholePieces = false, fuseUnknown = false;
  int32_t unknown = -1;
  std::array<int32_t, 256>
      byteIds; // byte-level: tokens of one byte; else <0xNN>
  std::unordered_map<std::string, int32_t> ids; // by what they match in pieces
  std::unordered_map<uint64_t, Merge, PairHash> merges;
};

} // namespace coppice::rt

#endif
