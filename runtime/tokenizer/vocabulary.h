// The tokens of a tokenizer.json: "vocab" of its model and "added_tokens".
#ifndef COPPICE_RUNTIME_TOKENIZER_VOCABULARY_H
#define COPPICE_RUNTIME_TOKENIZER_VOCABULARY_H

#include "runtime/bundle/json_cursor.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace coppice::rt {

/// Bytes of an added token, as it is looked for: the search takes time with it.
constexpr size_t mostAddedTokenBytes = 1024;

/// A token that is looked for in the text itself, before anything is merged.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool takesSpacesBefore = false, takesSpacesBehind = false;
  bool normalized = false; ///< looked for in the normalized text
  bool special = false;    ///< a control token: has no text
};

class Vocabulary {
public:
  /// The root of a tokenizer.json. Ids must be below `most` (0: not known) and
  /// about as many as there are tokens; no two tokens share one.
  static Vocabulary read(const JsonCursor &root, int64_t most);

  /// The largest id and one.
  size_t size() const { return tokens.size(); }

  /// Empty where no token has the id.
  const std::string &token(int32_t id) const { return tokens[size_t(id)].text; }
  bool isSpecial(int32_t id) const { return tokens[size_t(id)].special; }

  /// The id that the model's own vocabulary gives; -1: none.
  int32_t find(std::string_view token) const;
  const std::unordered_map<std::string, int32_t> &own() const { return ids; }

  const std::vector<AddedToken> &added() const { return addedTokens; }

private:
  struct Token {
    std::string text;
    bool there = false, special = false;
  };
  void readOwn(const JsonCursor &vocab, int64_t most, size_t bound);
  void readAdded(const JsonCursor &list, int64_t most, size_t bound);
  /// The token of an id that may be taken; null after an error.
  Token *claim(const JsonCursor &where, const std::string &text,
               const Json &number, int64_t most, size_t bound);

  std::vector<Token> tokens;
  std::unordered_map<std::string, int32_t> ids;
  std::vector<AddedToken> addedTokens;
};

} // namespace coppice::rt

#endif
