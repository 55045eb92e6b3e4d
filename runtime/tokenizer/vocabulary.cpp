// See vocabulary.h.
#include "runtime/tokenizer/vocabulary.h"

#include "runtime/base/concat.h"

#include <algorithm>

namespace coppice::rt {

int32_t Vocabulary::find(std::string_view token) const {
  auto found = ids.find(std::string(token));
  return found == ids.end() ? -1 : found->second;
}

Vocabulary::Token *Vocabulary::claim(const JsonCursor &where,
                                     const std::string &text,
                                     const Json &number, int64_t most,
                                     size_t bound) {
  auto fail = [&](const std::string &expected) {
    where.fail(concat("token ", quote(text), ": expected ", expected,
                      ", found ", quote(number.dump())));
    return nullptr;
  };
  if (!number.is_number_unsigned())
    return fail("an id of at least 0");
  uint64_t id = number.get<uint64_t>();
  if (most > 0 && id >= uint64_t(most))
    return fail(concat("an id below ", most,
                       ", the number that the model's vocabulary has"));
  if (id >= bound)
    return fail(concat("an id below ", bound,
                       " (twice the number of tokens, and some)"));
  if (id >= tokens.size())
    tokens.resize(id + 1);
  return &tokens[id];
}

void Vocabulary::readOwn(const JsonCursor &vocab, int64_t most, size_t bound) {
  const Json *entries = vocab.json();
  for (const auto &[text, number] : entries->items()) {
    Token *token = claim(vocab, text, number, most, bound);
    if (!token)
      return;
    if (token->there)
      return vocab.fail(concat("tokens ", quote(token->text), " and ",
                               quote(text), " have the same id ",
                               number.dump()));
    *token = {text, true, false};
    ids.emplace(text, static_cast<int32_t>(token - tokens.data()));
  }
}

void Vocabulary::readAdded(const JsonCursor &list, int64_t most, size_t bound) {
  int32_t next = static_cast<int32_t>(ids.size());
  for (size_t i = 0; i < list.size() && list.ok(); ++i) {
    JsonCursor item = list.element(i);
    item.onlyKeys({"id", "content", "single_word", "lstrip", "rstrip",
                   "normalized", "special"});
    AddedToken added;
    added.content = item.at("content").text();
    added.takesSpacesBefore = item.at("lstrip").boolean();
    added.takesSpacesBehind = item.at("rstrip").boolean();
    added.normalized = item.at("normalized").boolean();
    added.special = item.at("special").boolean();
    bool singleWord = item.at("single_word").boolean();
    JsonCursor number = item.at("id");
    if (!list.ok())
      return;
    if (singleWord)
      return item.at("single_word")
          .fail(concat("true is not understood, of token ",
                       quote(added.content)));
    if (added.content.empty())
      continue; // as the reference
    if (added.content.size() > mostAddedTokenBytes)
      return item.at("content").fail(
          concat("expected at most ", mostAddedTokenBytes, " bytes, found ",
                 added.content.size()));
    Token *token = claim(number, added.content, *number.json(), most, bound);
    if (!token)
      return;
    added.id = static_cast<int32_t>(token - tokens.data());
    int32_t own = find(added.content);
    // The reference numbers the others on from the vocabulary, whatever the
    // file says; where the two are not the same, nobody knows what the model
    // has learnt.
    int32_t expected = own >= 0 ? own : next;
    if (added.id != expected)
      return number.fail(concat("token ", quote(added.content), ": expected ",
                                expected,
                                own >= 0 ? ", its id in the model's vocabulary"
                                         : ", the next free id",
                                ", found ", added.id));
    next = std::max(next, added.id + 1);
    if (token->there && token->text != added.content)
      return number.fail(concat("tokens ", quote(token->text), " and ",
                                quote(added.content), " have the same id ",
                                added.id));
    *token = {added.content, true, added.special};
    addedTokens.push_back(std::move(added));
  }
}

Vocabulary Vocabulary::read(const JsonCursor &root, int64_t most) {
  Vocabulary result;
  JsonCursor model = root.at("model"), vocab = model.at("vocab"),
             added = root.at("added_tokens");
  if (root.ok() && !vocab.isObject())
    vocab.expected("an object");
  size_t count = added.size();
  if (!root.ok())
    return result;
  count += vocab.json()->size();
  // Holes are fine, memory for nothing is not.
  size_t bound = std::min<size_t>(2 * count + 65536, INT32_MAX);
  result.readOwn(vocab, most, bound);
  result.readAdded(added, most, bound);
  return result;
}

} // namespace coppice::rt
