// See added_tokens.h.
#include "runtime/tokenizer/added_tokens.h"

#include "runtime/base/concat.h"
#include "runtime/tokenizer/utf8.h"

#include <algorithm>

namespace coppice::rt {

static uint64_t edge(int32_t node, unsigned char byte) {
  return static_cast<uint64_t>(node) << 8 | byte;
}

void AddedTokens::add(std::string_view text, const AddedToken &token) {
  if (text.empty())
    return;
  int32_t node = 0;
  for (char c : text) {
    auto [found, isNew] = edges.try_emplace(
        edge(node, static_cast<unsigned char>(c)), int32_t(tokenAt.size()));
    if (isNew)
      tokenAt.push_back(-1);
    node = found->second;
  }
  if (tokenAt[size_t(node)] >= 0)
    return;
  tokenAt[size_t(node)] = static_cast<int32_t>(tokens.size());
  tokens.push_back(token);
  begins[static_cast<unsigned char>(text[0])] = true;
}

int32_t AddedTokens::follow(int32_t node, unsigned char byte) const {
  auto found = edges.find(edge(node, byte));
  return found == edges.end() ? -1 : found->second;
}

AddedTokens::Found AddedTokens::longest(std::string_view text,
                                        size_t at) const {
  Found best;
  if (!begins[static_cast<unsigned char>(text[at])])
    return best;
  int32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    ++best.steps;
    node = follow(node, static_cast<unsigned char>(text[i]));
    if (node < 0)
      break;
    if (int32_t token = tokenAt[size_t(node)]; token >= 0) {
      best.token = &tokens[size_t(token)];
      best.length = i + 1 - at;
    }
  }
  return best;
}

/// Where the white space begins that ends at `end`, not before `least`.
static size_t spacesBefore(std::string_view text, size_t end, size_t least) {
  while (end > least) {
    size_t begin = end - 1;
    while (begin > least && !beginsCharacter(text[begin]))
      --begin;
    if (!isWhiteSpace(scanUtf8(text, begin).character))
      break;
    end = begin;
  }
  return end;
}

static size_t spacesBehind(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    Utf8Scan scan = scanUtf8(text, begin);
    if (!isWhiteSpace(scan.character))
      break;
    begin += scan.bytes;
  }
  return begin;
}

Result<std::vector<AddedTokens::Segment>>
AddedTokens::split(std::string_view text, SpecialTokens special) const {
  std::vector<Segment> segments;
  size_t done = 0;
  size_t budget = (size_t(1) << 20) + 64 * text.size(); // nodes of the trie
  // White space that has been looked through: a token may be white space, too.
  size_t spaces = 0, spacesEnd = 0;
  for (size_t at = 0; at < text.size();) {
    auto [token, length, steps] = longest(text, at);
    if (steps > budget)
      return unsupported(concat("the tokenizer's added tokens take too many "
                                "steps at byte ",
                                at, " of the text"));
    budget -= steps;
    if (!token) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + length;
    at = end;
    if (token->special && special == SpecialTokens::AsText)
      continue;
    // What was taken with the token before is no text of this one.
    if (token->takesSpacesBefore)
      begin = std::max(spacesBefore(text, begin, std::min(done, begin)), done);
    if (token->takesSpacesBehind) {
      if (end < spaces || end > spacesEnd) {
        spaces = end;
        spacesEnd = spacesBehind(text, end);
      }
      end = spacesEnd;
    }
    if (done < begin)
      segments.push_back({done, begin, -1});
    segments.push_back({begin, end, token->id});
    done = end;
  }
  if (done < text.size())
    segments.push_back({done, text.size(), -1});
  return segments;
}

} // namespace coppice::rt
