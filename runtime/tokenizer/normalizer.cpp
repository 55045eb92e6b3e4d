// See normalizer.h.
#include "runtime/tokenizer/normalizer.h"

#include "runtime/base/concat.h"
#include "runtime/tokenizer/utf8.h"

#include <algorithm>
#include <tuple>

#include <utf8proc.h>

namespace coppice::rt {

/// Sorts each run of combining marks by their classes; equals stay in order.
static void orderMarks(std::vector<utf8proc_int32_t> &characters) {
  std::vector<std::tuple<int, size_t, utf8proc_int32_t>> run; // class, place
  auto settle = [&](size_t end) {
    std::ranges::sort(run);
    for (size_t i = 0; i < run.size(); ++i)
      characters[end - run.size() + i] = std::get<2>(run[i]);
    run.clear();
  };
  for (size_t i = 0; i < characters.size(); ++i) {
    int combining = utf8proc_get_property(characters[i])->combining_class;
    if (combining != 0)
      run.emplace_back(combining, i, characters[i]);
    else if (!run.empty())
      settle(i);
  }
  settle(characters.size());
}

// The pieces of utf8proc, not utf8proc_NFC(), whose ordering of combining marks
// takes quadratic time on a text of nothing else.
std::string composed(std::string_view text) {
  if (std::ranges::all_of(text, [](char c) { return c >= 0; }))
    return std::string(text);
  constexpr auto options =
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  std::vector<utf8proc_int32_t> characters;
  characters.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    Utf8Scan scan = scanUtf8(text, at);
    at += scan.bytes;
    utf8proc_int32_t parts[8]; // a canonical decomposition has at most 4
    int boundClass = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(scan.character),
                                parts, 8, options, &boundClass);
    for (utf8proc_ssize_t i = 0; i < std::min<utf8proc_ssize_t>(count, 8); ++i)
      characters.push_back(parts[i]);
  }
  orderMarks(characters);
  utf8proc_ssize_t length = utf8proc_normalize_utf32(
      characters.data(), static_cast<utf8proc_ssize_t>(characters.size()),
      options);
  std::string result;
  result.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < length; ++i)
    appendUtf8(result, static_cast<char32_t>(characters[size_t(i)]));
  return result;
}

// Bounds on what a file can ask for: texts do not grow without measure.
static constexpr size_t mostSteps = 16, mostContent = 64, mostGrowth = 16;

void Normalizer::readInto(const JsonCursor &json) {
  std::string kind = json.at("type").text();
  if (!json.ok())
    return;
  if (kind == "Sequence") {
    json.onlyKeys({"type", "normalizers"});
    JsonCursor list = json.at("normalizers");
    for (size_t i = 0; i < list.size() && list.ok(); ++i) {
      JsonCursor item = list.element(i);
      // The reference nests without bound; nothing real nests at all.
      if (item.isObject() && item.has("normalizers"))
        return item.fail("not understood: a Sequence in a Sequence");
      readInto(item);
    }
    return;
  }
  Step step;
  if (kind == "NFC") {
    json.onlyKeys({"type"});
    step.kind = Step::NFC;
  } else if (kind == "Prepend") {
    json.onlyKeys({"type", "prepend"});
    step.kind = Step::Prepend;
    step.content = json.at("prepend").text();
  } else if (kind == "Replace") {
    json.onlyKeys({"type", "pattern", "content"});
    step.kind = Step::Replace;
    json.at("pattern").onlyKeys({"String"});
    step.pattern = json.at("pattern").at("String").text();
    step.content = json.at("content").text();
    if (json.ok() && step.pattern.empty())
      json.at("pattern").fail("expected a string to replace, found none");
    if (json.ok() && step.pattern.size() > mostPatternBytes)
      json.at("pattern").fail(concat("expected at most ", mostPatternBytes,
                                     " bytes to replace, found ",
                                     step.pattern.size()));
  } else {
    return json.fail(concat("normalizer ", quote(kind),
                            " is not understood (known: NFC, Prepend, Replace, "
                            "Sequence)"));
  }
  if (step.content.size() > mostContent)
    return json.fail(concat("expected at most ", mostContent,
                            " bytes to put in, found ", step.content.size()));
  if (steps.size() == mostSteps)
    return json.fail(concat("expected at most ", mostSteps, " steps"));
  steps.push_back(std::move(step));
}

Normalizer Normalizer::read(const JsonCursor &json) {
  Normalizer normalizer;
  if (!json.isNull())
    normalizer.readInto(json);
  return normalizer;
}

std::string replaceAll(std::string_view text, std::string_view pattern,
                       std::string_view content, size_t most) {
  std::string result;
  size_t at = 0;
  for (size_t found;
       result.size() <= most && (found = text.find(pattern, at)) != text.npos;
       at = found + pattern.size())
    result.append(text.substr(at, found - at)).append(content);
  return result.append(text.substr(at));
}

Result<std::string> Normalizer::apply(std::string_view text) const {
  std::string result(text);
  const size_t most = mostGrowth * (text.size() + mostContent);
  for (const Step &step : steps) {
    switch (step.kind) {
    case Step::NFC:
      result = composed(result);
      break;
    case Step::Prepend:
      if (!result.empty())
        result = step.content + result;
      break;
    case Step::Replace:
      result = replaceAll(result, step.pattern, step.content, most);
      break;
    }
    if (result.size() > most)
      return unsupported(concat("the tokenizer's normalizer makes ",
                                text.size(), " bytes more than ", mostGrowth,
                                " times as many"));
  }
  return result;
}

} // namespace coppice::rt
