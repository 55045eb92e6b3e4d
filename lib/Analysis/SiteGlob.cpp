#include "coppice/Analysis/SiteGlob.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/Twine.h"

using namespace coppice;
using llvm::StringRef;

/// More alternatives or numbers in one component are a mistake, not a model.
static constexpr size_t kMostAlternatives = 1 << 16;

/// `*` and `?` within one component; linear but for backtracking to the last
/// `*`.
static bool matchWildcards(StringRef pattern, StringRef text) {
  size_t p = 0, t = 0, star = StringRef::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t]) &&
        pattern[p] != '*') {
      ++p, ++t;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (star != StringRef::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  return pattern.drop_front(p).find_first_not_of('*') == StringRef::npos;
}

static bool isNumber(StringRef text, int64_t &number) {
  return !text.empty() && llvm::all_of(text, llvm::isDigit) &&
         !text.getAsInteger(10, number);
}

// A component is `prefix`, `prefix{a,b}suffix` or a whole-component range, and
// an alternative may be a range again: `{0,[4-6]}`.
bool SiteGlob::parseComponent(StringRef text, Component &component,
                              std::string &error) {
  if (text.empty()) {
    error = "expected a name between the dots, found nothing";
    return false;
  }
  size_t open = text.find('{');
  if (open != StringRef::npos) {
    size_t close = text.find('}', open);
    if (close == StringRef::npos) {
      error = ("expected '}' after '" + text.substr(open) + "'").str();
      return false;
    }
    StringRef prefix = text.take_front(open),
              suffix = text.drop_front(close + 1);
    StringRef list = text.slice(open + 1, close);
    llvm::StringSet<> seen;
    llvm::SmallVector<StringRef> parts;
    list.split(parts, ',');
    for (StringRef part : parts) {
      if (!seen.insert(part.trim()).second) {
        error = ("expected each alternative once, found '" + part.trim() +
                 "' twice")
                    .str();
        return false;
      }
      if (!parseComponent((prefix + part.trim() + suffix).str(), component,
                          error))
        return false;
    }
    return true;
  }
  if (text.contains('}')) {
    error = ("expected '{' before '}' in '" + text + "'").str();
    return false;
  }
  Alternative alternative;
  if (text.contains('[') || text.contains(']')) {
    auto [first, last] = text.drop_front().drop_back().split('-');
    if (!text.starts_with("[") || !text.ends_with("]") ||
        !isNumber(first, alternative.first) ||
        !isNumber(last, alternative.last) ||
        alternative.first > alternative.last) {
      error = ("expected a range of numbers as '[0-3]', found '" + text + "'")
                  .str();
      return false;
    }
    if (size_t(alternative.last - alternative.first) >= kMostAlternatives) {
      error = ("expected a range of fewer numbers, found '" + text + "'").str();
      return false;
    }
    alternative.seen.resize(alternative.last - alternative.first + 1);
  } else {
    alternative.pattern = text.str();
    alternative.seen.resize(1);
  }
  // A number that is written twice is a slip, like an alternative that is.
  for (const Alternative &other : component) {
    int64_t a = alternative.first, b = alternative.last;
    if (!alternative.isRange() && isNumber(alternative.pattern, a))
      b = a;
    int64_t c = other.first, d = other.last;
    if (!other.isRange() && isNumber(other.pattern, c))
      d = c;
    if (a <= b && c <= d && std::max(a, c) <= std::min(b, d)) {
      error = "expected each index once, found " +
              std::to_string(std::max(a, c)) + " twice";
      return false;
    }
  }
  if (component.size() >= kMostAlternatives) {
    error = "expected fewer alternatives";
    return false;
  }
  component.push_back(std::move(alternative));
  return true;
}

/// Splits at the dots; those between braces do not count.
static llvm::SmallVector<StringRef> splitComponents(StringRef text) {
  llvm::SmallVector<StringRef> parts;
  size_t begin = 0;
  bool inBraces = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{' || text[i] == '}')
      inBraces = text[i] == '{';
    if (text[i] != '.' || inBraces)
      continue;
    parts.push_back(text.slice(begin, i));
    begin = i + 1;
  }
  parts.push_back(text.drop_front(begin));
  return parts;
}

std::optional<SiteGlob> SiteGlob::parse(StringRef text, std::string &error) {
  SiteGlob glob;
  for (StringRef part : splitComponents(text))
    if (!parseComponent(part, glob.components.emplace_back(), error))
      return std::nullopt;
  return glob;
}

bool SiteGlob::match(StringRef site) {
  llvm::SmallVector<StringRef> parts;
  site.split(parts, '.');
  if (parts.size() != components.size())
    return false;
  // Where each component matched; noted only once all have.
  llvm::SmallVector<bool *> hits;
  for (auto [part, component] : llvm::zip_equal(parts, components)) {
    bool *hit = nullptr;
    for (Alternative &alternative : component) {
      int64_t number;
      if (!alternative.isRange()) {
        if (matchWildcards(alternative.pattern, part))
          hit = &alternative.seen.front();
      } else if (isNumber(part, number) && number >= alternative.first &&
                 number <= alternative.last) {
        hit = &alternative.seen[number - alternative.first];
      }
      if (hit)
        break;
    }
    if (!hit)
      return false;
    hits.push_back(hit);
  }
  for (bool *hit : hits)
    *hit = true;
  return true;
}

std::optional<std::string> SiteGlob::findUnmatched() const {
  for (const Component &component : components)
    for (const Alternative &alternative : component)
      for (auto [index, seen] : llvm::enumerate(alternative.seen))
        if (!seen)
          return alternative.isRange()
                     ? std::to_string(alternative.first + int64_t(index))
                     : alternative.pattern;
  return std::nullopt;
}
