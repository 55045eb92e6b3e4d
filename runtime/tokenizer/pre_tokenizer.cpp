// See pre_tokenizer.h.
#include "runtime/tokenizer/pre_tokenizer.h"

#include "runtime/base/concat.h"
#include "runtime/tokenizer/utf8.h"

#include <algorithm>

namespace coppice::rt {

// GPT-2's, which ByteLevel applies where use_regex says so.
static constexpr std::string_view gpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|)"
    R"(\s+(?!\S)|\s+)";

// Bounds on what a file can ask for, as the normalizer has them.
static constexpr size_t mostSteps = 8, mostGrowth = 16, mostAdded = 64;

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

PreTokenizer PreTokenizer::read(const JsonCursor &json) {
  PreTokenizer result;
  if (!json.isNull())
    result.readInto(json);
  return result;
}

void PreTokenizer::readInto(const JsonCursor &json) {
  std::string kind = json.at("type").text();
  if (!json.ok())
    return;
  if (bytes)
    return json.fail("expected ByteLevel to come last, found " + quote(kind) +
                     " behind it");
  if (steps.size() >= mostSteps)
    return json.fail(concat("expected at most ", mostSteps, " steps"));
  if (kind == "Sequence") {
    json.onlyKeys({"type", "pretokenizers"});
    JsonCursor list = json.at("pretokenizers");
    for (size_t i = 0; i < list.size() && list.ok(); ++i) {
      JsonCursor item = list.element(i);
      if (item.isObject() && item.has("pretokenizers"))
        return item.fail("not understood: a Sequence in a Sequence");
      readInto(item);
    }
  } else if (kind == "Split") {
    readSplit(json);
  } else if (kind == "Digits") {
    json.onlyKeys({"type", "individual_digits"});
    addSplit(json, SplitPattern::compile("\\p{N}"),
             json.at("individual_digits").boolean()
                 ? Step::Behavior::Isolated
                 : Step::Behavior::Contiguous,
             false);
  } else if (kind == "ByteLevel") {
    // trim_offsets is about places in the text, which nobody asks for here.
    json.onlyKeys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    if (json.at("add_prefix_space").boolean()) {
      Step step;
      step.kind = Step::Kind::Prefix;
      steps.push_back(std::move(step));
    }
    if (!json.has("use_regex") || json.at("use_regex").boolean())
      addSplit(json, SplitPattern::compile(gpt2Pattern),
               Step::Behavior::Isolated, false);
    bytes = true;
  } else if (kind == "Metaspace") {
    readMetaspace(json);
  } else {
    json.fail(concat("pre-tokenizer ", quote(kind),
                     " is not understood (known: Split, Digits, ByteLevel, "
                     "Metaspace, Sequence)"));
  }
}

void PreTokenizer::addSplit(const JsonCursor &json,
                            Result<SplitPattern> pattern,
                            Step::Behavior behavior, bool invert) {
  if (!pattern)
    return json.fail(pattern.status().message());
  Step step;
  step.kind = Step::Kind::Split;
  step.behavior = behavior;
  step.invert = invert;
  step.pattern.push_back(*std::move(pattern));
  steps.push_back(std::move(step));
}

void PreTokenizer::readSplit(const JsonCursor &json) {
  json.onlyKeys({"type", "pattern", "behavior", "invert"});
  JsonCursor pattern = json.at("pattern");
  pattern.onlyKeys({"String", "Regex"});
  bool literal = pattern.has("String");
  std::string text = pattern.at(literal ? "String" : "Regex").text();
  std::string behavior = json.at("behavior").text();
  bool invert = json.at("invert").boolean();
  if (!json.ok())
    return;
  constexpr std::string_view names[] = {"Removed", "Isolated",
                                        "MergedWithPrevious", "MergedWithNext",
                                        "Contiguous"};
  auto found = std::ranges::find(names, behavior);
  if (found == std::end(names))
    return json.at("behavior").fail(quote(behavior) + " is not understood");
  addSplit(pattern,
           literal ? SplitPattern::compileLiteral(text)
                   : SplitPattern::compile(text),
           static_cast<Step::Behavior>(found - std::begin(names)), invert);
}

void PreTokenizer::readMetaspace(const JsonCursor &json) {
  json.onlyKeys({"type", "replacement", "prepend_scheme", "add_prefix_space",
                 "split", "str_rep"});
  Step step;
  step.kind = Step::Kind::Metaspace;
  step.replacement = json.at("replacement").text();
  if (!json.ok())
    return;
  if (step.replacement.empty() ||
      scanUtf8(step.replacement, 0).bytes != step.replacement.size())
    return json.at("replacement").expected("one character");
  std::string scheme = json.has("prepend_scheme")
                           ? json.at("prepend_scheme").text()
                           : std::string("always");
  if (scheme != "always" && scheme != "first" && scheme != "never")
    return json.at("prepend_scheme").expected("always, first or never");
  if (json.has("add_prefix_space") && !json.at("add_prefix_space").isNull() &&
      !json.at("add_prefix_space").boolean()) {
    if (json.has("prepend_scheme") && scheme != "never")
      return json.fail("add_prefix_space is false, prepend_scheme is " +
                       quote(scheme));
    scheme = "never";
  }
  step.prepend = scheme == "always"  ? Step::Prepend::Always
                 : scheme == "first" ? Step::Prepend::First
                                     : Step::Prepend::Never;
  bool split = !json.has("split") || json.at("split").isNull() ||
               json.at("split").boolean();
  std::string replacement = step.replacement;
  steps.push_back(std::move(step));
  if (split)
    addSplit(json, SplitPattern::compileLiteral(replacement),
             Step::Behavior::Next, false);
}

//===----------------------------------------------------------------------===//
// Splitting
//===----------------------------------------------------------------------===//

/// Spans of a text as the pattern cuts it become the pieces that the behaviour
/// says. Each fold is the reference's, whose corners are part of its meaning:
/// of several matches in a row only the first is merged into its neighbour.
static void applyBehavior(std::vector<TextSpan> &spans, bool previous,
                          bool next, bool contiguous) {
  std::vector<TextSpan> result;
  bool before = false;
  auto fold = [&](const TextSpan &span) {
    bool joins = contiguous ? span.matched == before : span.matched && !before;
    before = span.matched;
    if (!joins || result.empty())
      return result.push_back(span);
    if (next)
      result.back().begin = span.begin;
    else
      result.back().end = span.end;
  };
  if (!previous && !next && !contiguous)
    return;
  if (next)
    std::for_each(spans.rbegin(), spans.rend(), fold);
  else
    std::for_each(spans.begin(), spans.end(), fold);
  if (next)
    std::ranges::reverse(result);
  spans = std::move(result);
}

Status PreTokenizer::applySplit(const Step &step,
                                const std::vector<Piece> &pieces,
                                std::vector<Piece> &result) {
  using Behavior = Step::Behavior;
  std::vector<TextSpan> spans;
  for (const Piece &piece : pieces) {
    spans.clear();
    if (Status status = step.pattern[0].cut(piece.text, spans); !status.ok())
      return status;
    if (step.invert)
      for (TextSpan &span : spans)
        span.matched = !span.matched;
    applyBehavior(spans, step.behavior == Behavior::Previous,
                  step.behavior == Behavior::Next,
                  step.behavior == Behavior::Contiguous);
    for (const TextSpan &span : spans)
      if (step.behavior != Behavior::Removed || !span.matched)
        result.push_back({piece.text.substr(span.begin, span.end - span.begin),
                          piece.first && span.begin == 0});
  }
  return {};
}

Status PreTokenizer::split(std::string_view text, bool first,
                           Pieces &result) const {
  std::vector<Piece> pieces;
  if (!text.empty())
    pieces.push_back({text, first});
  size_t owned = 0; // bytes, of all steps
  auto keep = [&](std::string changed) {
    owned += changed.size();
    return std::string_view(result.owned.emplace_back(std::move(changed)));
  };
  for (const Step &step : steps) {
    switch (step.kind) {
    case Step::Kind::Split: {
      std::vector<Piece> parts;
      if (Status status = applySplit(step, pieces, parts); !status.ok())
        return status;
      pieces = std::move(parts);
      break;
    }
    case Step::Kind::Prefix:
      for (Piece &piece : pieces)
        if (!piece.text.starts_with(' '))
          piece.text = keep(" " + std::string(piece.text));
      break;
    case Step::Kind::Metaspace:
      for (Piece &piece : pieces) {
        std::string changed;
        for (char c : piece.text)
          c == ' ' ? changed += step.replacement : changed += c;
        if (!changed.starts_with(step.replacement) &&
            (step.prepend == Step::Prepend::Always ||
             (step.prepend == Step::Prepend::First && piece.first)))
          changed = step.replacement + changed;
        piece.text = keep(std::move(changed));
      }
      break;
    }
    if (owned > mostGrowth * (text.size() + mostAdded))
      return unsupported(concat("the tokenizer's pre-tokenizer makes ",
                                text.size(), " bytes more than ", mostGrowth,
                                " times as many"));
  }
  for (const Piece &piece : pieces)
    result.pieces.push_back(piece.text);
  return {};
}

} // namespace coppice::rt
