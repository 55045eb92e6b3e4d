// Finds the added tokens of a tokenizer.json in a text.
#ifndef COPPICE_RUNTIME_TOKENIZER_ADDED_TOKENS_H
#define COPPICE_RUNTIME_TOKENIZER_ADDED_TOKENS_H

#include "runtime/tokenizer/tokenizer.h"
#include "runtime/tokenizer/vocabulary.h"

#include <array>
#include <unordered_map>
#include <vector>

namespace coppice::rt {

class AddedTokens {
public:
  /// `text` is what is looked for: of normalized tokens the normalized content.
  void add(std::string_view text, const AddedToken &token);

  struct Segment {
    size_t begin, end;
    int32_t id; ///< -1: text
  };
  /// `text` cut at its added tokens: the leftmost, the longest of those that
  /// begin together. With SpecialTokens::AsText a special one is found and
  /// left where it is. Fails where tokens that begin and do not end take many
  /// steps at each byte.
  Result<std::vector<Segment>> split(std::string_view text,
                                     SpecialTokens special) const;

private:
  /// The node that `byte` leads to from `node`; -1: none.
  int32_t follow(int32_t node, unsigned char byte) const;
  struct Found {
    const AddedToken *token = nullptr; ///< null: none
    size_t length = 0, steps = 0;
  };
  /// The longest token at `text[at]`.
  Found longest(std::string_view text, size_t at) const;

  // A trie, as one map from (node, byte) to node; node 0 is the root.
  std::unordered_map<uint64_t, int32_t> edges;
  std::vector<int32_t> tokenAt{-1}; // of each node
  std::vector<AddedToken> tokens;
  std::array<bool, 256> begins{};
};

} // namespace coppice::rt

#endif
