// See byte_pair_encoding.h.
#include "runtime/tokenizer/byte_pair_encoding.h"

#include "runtime/base/concat.h"
#include "runtime/tokenizer/byte_alphabet.h"
#include "runtime/tokenizer/utf8.h"

#include <algorithm>
#include <cstdio>
#include <queue>

namespace coppice::rt {

static uint64_t pairOf(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
         static_cast<uint32_t>(right);
}

size_t BytePairEncoding::PairHash::operator()(uint64_t pair) const {
  // The finaliser of splitmix64.
  pair = (pair ^ pair >> 30) * 0xBF58476D1CE4E5B9u;
  pair = (pair ^ pair >> 27) * 0x94D049BB133111EBu;
  return pair ^ pair >> 31;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// A flag that old files leave out.
static bool flag(const JsonCursor &object, const char *key) {
  return object.has(key) && !object.at(key).isNull() &&
         object.at(key).boolean();
}

/// A string that may be missing or null.
static std::string optionalText(const JsonCursor &object, const char *key) {
  return object.has(key) && !object.at(key).isNull() ? object.at(key).text()
                                                     : std::string();
}

static void refuseVariants(const JsonCursor &model) {
  // Very old files do not say what they are; only BPE has merges.
  if (model.has("type") || !model.has("merges"))
    if (std::string type = model.at("type").text(); model.ok() && type != "BPE")
      return model.at("type").fail(
          concat("model ", quote(type), " is not understood (known: BPE)"));
  model.onlyKeys({"type", "dropout", "unk_token", "continuing_subword_prefix",
                  "end_of_word_suffix", "fuse_unk", "byte_fallback",
                  "ignore_merges", "vocab", "merges"});
  if (model.has("dropout") && !model.at("dropout").isNull() &&
      model.at("dropout").number() != 0)
    model.at("dropout").fail("not understood: ids that depend on chance");
  for (const char *key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (std::string text = optionalText(model, key); !text.empty())
      model.at(key).fail(concat(quote(text), " is not understood"));
}

BytePairEncoding BytePairEncoding::read(const JsonCursor &model,
                                        const Vocabulary &vocabulary,
                                        bool byteLevel) {
  BytePairEncoding result;
  result.byteIds.fill(-1);
  result.byteLevel = byteLevel;
  refuseVariants(model);
  result.wholePieces = flag(model, "ignore_merges");
  result.fuseUnknown = flag(model, "fuse_unk");
  bool byteFallback = flag(model, "byte_fallback");
  std::string unknown = optionalText(model, "unk_token");
  if (!model.ok())
    return result;
  if (!unknown.empty())
    if ((result.unknown = vocabulary.find(unknown)) < 0)
      model.at("unk_token")
          .fail(concat("expected a token of the vocabulary, found ",
                       quote(unknown)));
  if (byteFallback && byteLevel)
    model.at("byte_fallback").fail("expected false beside ByteLevel");

  for (const auto &[token, id] : vocabulary.own()) {
    // Text never becomes a special token by itself.
    if (vocabulary.isSpecial(id))
      continue;
    if (!byteLevel) {
      result.ids.emplace(token, id);
    } else if (auto bytes = spelledBytes(token)) {
      if (bytes->size() == 1)
        result.byteIds[static_cast<unsigned char>((*bytes)[0])] = id;
      if (result.wholePieces)
        result.ids.emplace(*std::move(bytes), id);
    }
  }
  for (int byte = 0; byteFallback && byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    result.byteIds[size_t(byte)] = vocabulary.find(name);
  }
  result.checkComplete(model);
  if (model.ok())
    result.readMerges(model.at("merges"), vocabulary);
  return result;
}

/// The reference drops characters that it has no ids for without a word.
void BytePairEncoding::checkComplete(const JsonCursor &model) const {
  if (unknown >= 0)
    return;
  for (size_t byte = 0; byte < 256; ++byte) {
    bool occurs = byte != 0xC0 && byte != 0xC1 && byte < 0xF5; // in UTF-8
    if (occurs && byteIds[byte] < 0)
      return model.fail(
          concat("expected an unk_token, or a token for each byte (",
                 byteLevel ? "ByteLevel" : "byte_fallback and <0x00> to <0xFF>",
                 "), found none for byte ", byte));
  }
}

void BytePairEncoding::readMerges(const JsonCursor &list,
                                  const Vocabulary &vocabulary) {
  size_t count = list.size();
  for (size_t i = 0; i < count; ++i) {
    const Json &merge = (*list.json())[i];
    auto fail = [&](const std::string &message) {
      list.fail(concat("merge ", i, ": ", message));
    };
    std::string left, right;
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
        merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    } else if (merge.is_string()) {
      std::string text = merge.get<std::string>();
      size_t space = text.find(' ');
      if (space == text.npos || text.find(' ', space + 1) != text.npos)
        return fail(concat("expected two tokens and one space between, found ",
                           quote(text)));
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else {
      return fail("expected [\"a\", \"b\"] or \"a b\"");
    }
    int32_t ids[3] = {vocabulary.find(left), vocabulary.find(right),
                      vocabulary.find(left + right)};
    if (*std::ranges::min_element(ids) < 0)
      return fail(concat("expected ", quote(left), ", ", quote(right), " and ",
                         quote(left + right), " in the vocabulary"));
    // Of equals the last counts, as in the reference.
    if (!vocabulary.isSpecial(ids[2]))
      merges.insert_or_assign(pairOf(ids[0], ids[1]),
                              Merge{static_cast<int32_t>(i), ids[2]});
  }
}

//===----------------------------------------------------------------------===//
// Encoding
//===----------------------------------------------------------------------===//

const BytePairEncoding::Merge *BytePairEncoding::find(int32_t left,
                                                      int32_t right) const {
  auto found = merges.find(pairOf(left, right));
  return found == merges.end() ? nullptr : &found->second;
}

void BytePairEncoding::appendBytes(std::string_view piece,
                                   std::vector<int32_t> &result) const {
  // Each byte is a character of the alphabet.
  bool afterUnknown = false;
  for (char byte : piece) {
    int32_t id = byteIds[static_cast<unsigned char>(byte)];
    bool isUnknown = id < 0;
    if (!isUnknown)
      result.push_back(id);
    else if (!afterUnknown || !fuseUnknown)
      result.push_back(unknown);
    afterUnknown = isUnknown;
  }
}

void BytePairEncoding::appendCharacters(std::string_view piece,
                                        std::vector<int32_t> &result) const {
  // An unknown character is held back, so that those behind it can join; the
  // reference lets the bytes of others overtake it.
  bool held = false;
  auto release = [&] {
    if (std::exchange(held, false))
      result.push_back(unknown);
  };
  for (size_t at = 0; at < piece.size();) {
    size_t length = scanUtf8(piece, at).bytes;
    std::string character(piece.substr(at, length));
    at += length;
    if (auto found = ids.find(character); found != ids.end()) {
      release();
      result.push_back(found->second);
      continue;
    }
    auto idOf = [&](char byte) {
      return byteIds[static_cast<unsigned char>(byte)];
    };
    if (std::ranges::all_of(character, [&](char c) { return idOf(c) >= 0; })) {
      for (char byte : character)
        result.push_back(idOf(byte));
      continue;
    }
    if (!fuseUnknown)
      release();
    held = true;
  }
  release();
}

void BytePairEncoding::encode(std::string_view piece,
                              std::vector<int32_t> &result) const {
  if (wholePieces)
    if (auto found = ids.find(std::string(piece)); found != ids.end())
      return result.push_back(found->second);

  const size_t first = result.size();
  if (byteLevel)
    appendBytes(piece, result);
  else
    appendCharacters(piece, result);
  const size_t count = result.size() - first;
  if (count < 2)
    return;

  // A linked list over the symbols' first places, so that "leftmost" is "least
  // index" and a merge moves nothing.
  struct Symbol {
    int32_t id, previous, next; // id -1: joined to an earlier one
  };
  std::vector<Symbol> symbols(count);
  for (size_t i = 0; i < count; ++i)
    symbols[i] = {result[first + i], static_cast<int32_t>(i) - 1,
                  i + 1 < count ? static_cast<int32_t>(i + 1) : -1};
  struct Candidate {
    int32_t rank, left, id;
    bool operator<(const Candidate &other) const { // worst first
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  std::priority_queue<Candidate> candidates;
  auto consider = [&](int32_t left) {
    if (left < 0 || symbols[size_t(left)].next < 0)
      return;
    const Symbol &symbol = symbols[size_t(left)];
    if (const Merge *merge = find(symbol.id, symbols[size_t(symbol.next)].id))
      candidates.push({merge->rank, left, merge->id});
  };
  for (size_t i = 0; i + 1 < count; ++i)
    consider(static_cast<int32_t>(i));
  while (!candidates.empty()) {
    Candidate candidate = candidates.top();
    candidates.pop();
    Symbol &left = symbols[size_t(candidate.left)];
    if (left.id < 0 || left.next < 0)
      continue;
    // Either side may have changed since. Like the reference, this takes any
    // pair that joins to the same token, if by another merge.
    Symbol &right = symbols[size_t(left.next)];
    const Merge *merge = find(left.id, right.id);
    if (!merge || merge->id != candidate.id)
      continue;
    left.id = candidate.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0)
      symbols[size_t(left.next)].previous = candidate.left;
    consider(left.previous);
    consider(candidate.left);
  }
  result.resize(first);
  for (int32_t at = 0; at >= 0; at = symbols[size_t(at)].next)
    result.push_back(symbols[size_t(at)].id);
}

} // namespace coppice::rt
