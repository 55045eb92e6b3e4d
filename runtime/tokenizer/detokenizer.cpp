// See detokenizer.h.
#include "runtime/tokenizer/detokenizer.h"

#include "runtime/base/concat.h"
#include "runtime/tokenizer/byte_alphabet.h"
#include "runtime/tokenizer/normalizer.h"
#include "runtime/tokenizer/utf8.h"

namespace coppice::rt {

static constexpr std::string_view replacementCharacter = "\xEF\xBF\xBD";

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

static std::string readCharacter(const JsonCursor &json) {
  std::string text = json.text();
  if (json.ok() && (text.empty() || scanUtf8(text, 0).bytes != text.size()))
    json.expected("one character");
  return text;
}

// Stages of a Sequence: what works on tokens, then bytes, then all of the text.
enum Stage { Tokens, Bytes, Fused };

void Detokenizer::readStep(const JsonCursor &json, int &stage) {
  std::string kind = json.at("type").text();
  if (!json.ok())
    return;
  auto reach = [&](Stage wanted) {
    if (stage > wanted)
      json.fail(concat(quote(kind), " is not understood in this place"));
    stage = wanted;
  };
  if (kind == "Replace") {
    json.onlyKeys({"type", "pattern", "content"});
    reach(Tokens);
    json.at("pattern").onlyKeys({"String"});
    std::string pattern = json.at("pattern").at("String").text();
    std::string content = json.at("content").text();
    // So that no token becomes a text without measure.
    if (json.ok() &&
        (pattern.empty() || content.size() > pattern.size() ||
         pattern.size() > mostPatternBytes || replacements.size() == 8))
      return json.fail(
          concat("expected at most 8 steps, none of which replaces "
                 "more than ",
                 mostPatternBytes, " bytes, or a string by a longer one"));
    replacements.emplace_back(std::move(pattern), std::move(content));
  } else if (kind == "ByteFallback") {
    json.onlyKeys({"type"});
    reach(Bytes);
    byteFallback = true;
  } else if (kind == "Fuse") {
    json.onlyKeys({"type"});
    reach(Fused);
  } else if (kind == "Strip") {
    json.onlyKeys({"type", "content", "start", "stop"});
    std::string content = readCharacter(json.at("content"));
    int64_t start = json.at("start").integer(0, 1024);
    int64_t stop = json.at("stop").integer(0);
    if (!json.ok())
      return;
    if (stage != Fused || strips > 0)
      return json.fail("'Strip' is not understood in this place");
    if (stop != 0)
      return json.at("stop").fail("not understood: an end that is stripped");
    strip = std::move(content);
    strips = start;
  } else {
    json.fail(concat("decoder ", quote(kind),
                     " is not understood (known: ByteLevel, Metaspace, and a "
                     "Sequence of Replace, ByteFallback, Fuse and Strip)"));
  }
}

Detokenizer Detokenizer::read(const JsonCursor &json) {
  Detokenizer result;
  std::string kind = json.at("type").text();
  if (!json.ok())
    return result;
  int stage = Tokens;
  if (kind == "ByteLevel") {
    json.onlyKeys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    result.byteLevel = true;
  } else if (kind == "Metaspace") {
    json.onlyKeys({"type", "replacement", "prepend_scheme", "add_prefix_space",
                   "split", "str_rep"});
    result.metaspace = readCharacter(json.at("replacement"));
    bool never = json.has("prepend_scheme")
                     ? json.at("prepend_scheme").text() == "never"
                     : json.has("add_prefix_space") &&
                           !json.at("add_prefix_space").boolean();
    result.dropsFirstMetaspace = !never;
  } else if (kind == "Sequence") {
    json.onlyKeys({"type", "decoders"});
    JsonCursor list = json.at("decoders");
    size_t count = list.size();
    if (count == 1) // often a ByteLevel alone
      if (JsonCursor item = list.element(0);
          item.has("type") && item.at("type").text() == "ByteLevel")
        return read(item);
    for (size_t i = 0; i < count && list.ok(); ++i)
      result.readStep(list.element(i), stage);
  } else {
    result.readStep(json, stage);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Decoding
//===----------------------------------------------------------------------===//

std::string Detokenizer::tokenText(std::string_view token, bool first) const {
  std::string text(token);
  for (const auto &[from, to] : replacements)
    text = replaceAll(text, from, to);
  if (!metaspace.empty())
    text = replaceAll(text, metaspace, first && dropsFirstMetaspace ? "" : " ");
  return text;
}

/// The byte that "<0xNN>" names; -1: `token` has another form.
static int namedByte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>')
    return -1;
  int value = 0;
  for (char c : token.substr(3, 2)) {
    constexpr std::string_view digits = "0123456789ABCDEFabcdef";
    size_t digit = digits.find(c);
    if (digit == digits.npos)
      return -1;
    value = value * 16 + static_cast<int>(digit < 16 ? digit : digit - 6);
  }
  return value;
}

/// Puts out the characters that `bytes` complete and keeps what begins one.
void Detokenizer::Stream::append(std::string_view bytes, std::string &text) {
  pending += bytes;
  size_t at = 0;
  while (at < pending.size()) {
    Utf8Scan scan = scanUtf8(pending, at);
    if (scan.kind == Utf8Scan::Cut)
      break;
    if (scan.kind == Utf8Scan::Whole)
      text.append(pending, at, scan.bytes);
    else // the reference counts bytes of tokens, but broken characters of text
      for (size_t i = 0; i < (steps.byteFallback ? scan.bytes : 1); ++i)
        text += replacementCharacter;
    at += scan.bytes;
  }
  pending.erase(0, at);
}

void Detokenizer::Stream::flush(std::string &text) {
  if (pending.empty())
    return;
  for (size_t i = 0; i < (steps.byteFallback ? pending.size() : 1); ++i)
    text += replacementCharacter;
  pending.clear();
}

std::string Detokenizer::Stream::stripped(std::string text) {
  size_t begin = 0;
  while (strips > 0 && begin < text.size()) {
    if (!std::string_view(text).substr(begin).starts_with(steps.strip)) {
      strips = 0;
      break;
    }
    begin += steps.strip.size();
    --strips;
  }
  return text.substr(begin);
}

std::string Detokenizer::Stream::next(std::string_view token) {
  std::string text;
  if (steps.byteLevel) {
    // Added tokens are not spelled in bytes.
    if (auto bytes = spelledBytes(token))
      append(*bytes, text);
    else
      append(token, text);
    return text;
  }
  std::string own = steps.tokenText(token, std::exchange(first, false));
  if (int byte = steps.byteFallback ? namedByte(own) : -1; byte >= 0) {
    append(std::string(1, static_cast<char>(byte)), text);
  } else {
    flush(text);
    text += own;
  }
  return stripped(std::move(text));
}

std::string Detokenizer::Stream::finish() {
  std::string text;
  flush(text);
  return stripped(std::move(text));
}

} // namespace coppice::rt
