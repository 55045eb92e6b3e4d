// See llama2c_tokenizer.h.
#include "runtime/tokenizer/llama2c_tokenizer.h"

#include "runtime/base/concat.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <queue>
#include <utility>

namespace coppice::rt {

static_assert(std::endian::native == std::endian::little,
              "tokenizer files are read in place, as little-endian");

Result<Llama2CTokenizer> Llama2CTokenizer::parse(std::string_view file,
                                                 int64_t vocabulary) {
  size_t at = 0;
  auto read = [&](auto &value) {
    if (file.size() - at < sizeof value)
      return false;
    std::memcpy(&value, file.data() + at, sizeof value);
    at += sizeof value;
    return true;
  };
  auto damaged = [&](const std::string &what) {
    return invalidFile("tokenizer: " + what + " at byte " + std::to_string(at) +
                       " of " + std::to_string(file.size()));
  };

  uint32_t longest = 0;
  if (!read(longest))
    return damaged("expected the length of the longest piece, found the end");
  Llama2CTokenizer result;
  while (at < file.size()) {
    std::string id = std::to_string(result.pieces.size());
    float score = 0;
    uint32_t length = 0;
    if (!read(score) || !read(length))
      return damaged("expected score and length of piece " + id +
                     ", found the end");
    if (!std::isfinite(score))
      return damaged("expected a finite score of piece " + id);
    if (length > longest)
      return damaged("expected piece " + id + " to have at most " +
                     std::to_string(longest) + " bytes, found " +
                     std::to_string(length));
    if (length > file.size() - at)
      return damaged("expected " + std::to_string(length) + " bytes of piece " +
                     id + ", found the end");
    std::string text(file.substr(at, length));
    at += length;
    int32_t number = static_cast<int32_t>(result.pieces.size());
    // The first of two equal pieces is the one that text becomes.
    if (number >= firstPiece && !text.empty())
      result.ids.try_emplace(text, number);
    result.pieces.push_back({std::move(text), score});
    // A piece takes 8 bytes at least, so a file of 16 GiB would be needed.
    if (result.pieces.size() > INT32_MAX / 2)
      return damaged("expected fewer pieces");
  }
  if (result.pieces.size() < firstPiece)
    return damaged("expected unknown, BOS, EOS and 256 bytes first, found " +
                   std::to_string(result.pieces.size()) + " pieces");
  if (vocabulary > 0 && result.size() != vocabulary)
    return invalidFile(
        "tokenizer: expected " + std::to_string(vocabulary) +
        " pieces, as many as the model's vocabulary has, found " +
        std::to_string(result.size()));
  // decode() hands out a byte's piece, so make it that byte.
  for (int value = 0; value < 256; ++value)
    result.pieces[static_cast<size_t>(firstByte + value)].text =
        std::string(1, static_cast<char>(value));
  return result;
}

int32_t Llama2CTokenizer::find(const std::string &text) const {
  auto found = ids.find(text);
  return found == ids.end() ? -1 : found->second;
}

std::vector<int32_t> Llama2CTokenizer::encode(std::string_view text) const {
  std::vector<int32_t> result{bos};
  if (text.empty())
    return result;

  // The sequence as a linked list over its first form, so that "leftmost" is
  // "least index" and a merge moves nothing.
  struct Symbol {
    int32_t id, previous, next; // id -1: merged into an earlier one
  };
  std::vector<Symbol> symbols;
  auto append = [&](int32_t id) {
    int32_t here = static_cast<int32_t>(symbols.size());
    symbols.push_back({id, here - 1, here + 1});
  };
  auto appendCharacter = [&](std::string_view character) {
    if (int32_t id = find(std::string(character)); id >= 0)
      return append(id);
    for (char byte : character)
      append(firstByte + static_cast<uint8_t>(byte));
  };
  auto continues = [](char byte) {
    return (static_cast<uint8_t>(byte) & 0xC0) == 0x80;
  };
  appendCharacter(" ");
  for (size_t begin = 0; begin < text.size();) {
    // A character is a byte and at most three continuation bytes; what is not
    // UTF-8 passes through as bytes.
    size_t end = begin + 1;
    while (end < text.size() && end - begin < 4 && continues(text[end]))
      ++end;
    appendCharacter(text.substr(begin, end - begin));
    begin = end;
  }
  symbols.back().next = -1;

  struct Merge {
    float score;
    int32_t left, right, leftId, rightId, id;
    bool operator<(const Merge &other) const { // worst first, as queues want
      return score != other.score ? score < other.score : left > other.left;
    }
  };
  std::priority_queue<Merge> merges;
  auto consider = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0)
      return;
    int32_t a = symbols[left].id, b = symbols[right].id;
    if (int32_t id = find(pieces[a].text + pieces[b].text); id >= 0)
      merges.push({pieces[id].score, left, right, a, b, id});
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i)
    consider(static_cast<int32_t>(i), static_cast<int32_t>(i + 1));
  while (!merges.empty()) {
    Merge merge = merges.top();
    merges.pop();
    Symbol &left = symbols[merge.left], &right = symbols[merge.right];
    // Either side may have been merged since; then this pair is no more.
    if (left.id != merge.leftId || right.id != merge.rightId ||
        left.next != merge.right)
      continue;
    left.id = merge.id;
    left.next = right.next;
    if (right.next >= 0)
      symbols[right.next].previous = merge.left;
    right.id = -1;
    consider(left.previous, merge.left);
    consider(merge.left, left.next);
  }

  for (int32_t at = 0; at >= 0; at = symbols[at].next)
    result.push_back(symbols[at].id);
  return result;
}

Result<std::vector<int32_t>>
Llama2CTokenizer::encode(std::string_view text, SpecialTokens special) const {
  if (special == SpecialTokens::Parsed)
    return unsupported("a llama2.c tokenizer does not say which of its pieces "
                       "are special tokens: they cannot be parsed in text");
  // Places in it are 32 bits.
  constexpr size_t most = size_t(64) << 20;
  if (text.size() > most)
    return invalidArgument(concat("text: expected at most ", most,
                                  " bytes at a time, found ", text.size()));
  return encode(text);
}

std::string_view Llama2CTokenizer::decode(int32_t previous, int32_t id) const {
  if (id < firstByte || id >= size())
    return {};
  std::string_view text = pieces[static_cast<size_t>(id)].text;
  if (previous == bos && text.starts_with(' '))
    text.remove_prefix(1);
  return text;
}

namespace {
class Llama2CDecoder final : public TextDecoder {
public:
  explicit Llama2CDecoder(const Llama2CTokenizer &tokenizer)
      : tokenizer(tokenizer) {}

  std::string next(int32_t id) override {
    return std::string(tokenizer.decode(std::exchange(previous, id), id));
  }

private:
  const Llama2CTokenizer &tokenizer;
  int32_t previous = -1;
};
} // namespace

std::unique_ptr<TextDecoder> Llama2CTokenizer::decoder() const {
  return std::make_unique<Llama2CDecoder>(*this);
}

} // namespace coppice::rt
