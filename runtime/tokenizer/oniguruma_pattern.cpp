// See oniguruma_pattern.h.
#include "runtime/tokenizer/oniguruma_pattern.h"

#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"
#include "runtime/tokenizer/utf8.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace coppice::rt {
namespace {

// White_Space, as isWhiteSpace() has it; PCRE2's own \s knows U+180E too.
constexpr std::string_view spaces =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}"
    "\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

// Without those that hold unassigned characters (C, Cn): every new version of
// Unicode changes them.
constexpr std::string_view categories[] = {
    "L",  "Ll", "Lm", "Lo", "Lt", "Lu", "M",  "Mc", "Me", "Mn", "N",
    "Nd", "Nl", "No", "P",  "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps",
    "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zp", "Zs", "Cc"};

// What one character folds to in Unicode; under (?i: the two engines need not
// agree on which of them are tried.
constexpr std::string_view foldedPairs[] = {"ff", "fi", "fl", "ss", "st"};

constexpr size_t mostBytes = 4096;
constexpr int mostDepth = 16, mostRepeats = 1000;

std::string spell(char32_t character) {
  char text[16];
  std::snprintf(text, sizeof text, "\\x{%x}", static_cast<unsigned>(character));
  return text;
}

bool isDigit(char32_t c) { return c >= '0' && c <= '9'; }
bool isLetter(char32_t c) {
  return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80;
}
bool isPunctuation(char32_t c) {
  return c > 0x20 && c < 0x7F && !isDigit(c) && !isLetter(c);
}

class Translator {
public:
  explicit Translator(std::string_view pattern) : pattern(pattern) {}

  Result<std::string> run() {
    alternatives(/*caseless=*/false, 0);
    if (status.ok() && at < pattern.size())
      refuse("a ')' that closes nothing");
    if (!status.ok())
      return status;
    return std::move(out);
  }

private:
  bool more() const { return status.ok() && at < pattern.size(); }
  char peek() const { return at < pattern.size() ? pattern[at] : '\0'; }
  bool take(std::string_view text) {
    if (!pattern.substr(at).starts_with(text))
      return false;
    at += text.size();
    return true;
  }
  char32_t takeCharacter() {
    Utf8Scan scan = scanUtf8(pattern, at);
    at += scan.bytes;
    return scan.character;
  }
  void refuse(const std::string &what) {
    if (status.ok())
      status = unsupported(concat("pattern ", quote(pattern),
                                  ": not understood at byte ", at, ": ", what));
  }

  void alternatives(bool caseless, int depth) {
    if (depth > mostDepth)
      return refuse(concat("groups nested more than ", mostDepth, " deep"));
    char32_t previous = 0; // the literal before, under (?i:
    while (more() && peek() != ')') {
      if (take("|")) {
        out += '|';
        previous = 0;
        continue;
      }
      char32_t literal = term(caseless, depth);
      if (caseless && literal)
        refuseFolded(previous, literal);
      previous = literal;
    }
  }

  /// One item and its quantifier; the character, if it is a literal.
  char32_t term(bool caseless, int depth) {
    char32_t literal = 0;
    bool quantifiable = true;
    if (take("(")) {
      quantifiable = group(caseless, depth);
    } else if (take("[")) {
      if (caseless)
        refuse("a class under (?i:");
      characterClass();
    } else if (take(".")) {
      out += "[^\\n]";
    } else if (take("\\")) {
      literal = escape(caseless);
    } else if (std::string_view("^$?*+{").find(peek()) !=
               std::string_view::npos) {
      refuse(std::string("'") + peek() + "' here");
    } else {
      literal = takeCharacter();
      if (caseless && literal >= 0x80)
        refuse("a character that is not ASCII under (?i:");
      out += isLetter(literal) ? std::string(1, static_cast<char>(literal))
                               : spell(literal);
    }
    quantifier(quantifiable);
    return literal;
  }

  /// False: a lookahead, which no quantifier may follow.
  bool group(bool caseless, int depth) {
    bool looks = true;
    if (take("?=")) {
      out += "(?=";
    } else if (take("?!")) {
      out += "(?!";
    } else {
      looks = false;
      if (take("?i:"))
        caseless = true;
      else if (!take("?:") && peek() == '?')
        refuse("a group of this kind");
      out += caseless ? "(?i:" : "(?:";
    }
    alternatives(caseless, depth + 1);
    if (status.ok() && !take(")"))
      refuse("a group that is not closed");
    out += ')';
    return !looks;
  }

  /// Outside classes; the backslash has been taken.
  char32_t escape(bool caseless) {
    if (take("s"))
      return out.append("[").append(spaces).append("]"), 0;
    if (take("S"))
      return out.append("[^").append(spaces).append("]"), 0;
    return classOrCharacter(caseless);
  }

  /// An escape that means the same inside and outside of classes; the character
  /// if it is one (which has then been put out).
  char32_t classOrCharacter(bool caseless = false) {
    if (take("d"))
      return out += "\\p{Nd}", 0;
    if (take("D"))
      return out += "\\P{Nd}", 0;
    if (peek() == 'p' || peek() == 'P')
      return category(caseless), 0;
    char32_t character = escapedCharacter();
    out += spell(character);
    return character;
  }

  char32_t escapedCharacter() {
    constexpr std::string_view names = "rntvf", values = "\r\n\t\v\f";
    char name = peek();
    if (size_t i = names.find(name); name && i != std::string_view::npos) {
      ++at;
      return static_cast<char32_t>(values[i]);
    }
    if (!isPunctuation(static_cast<unsigned char>(name)) && name != ' ')
      return refuse("this escape"), 0;
    ++at;
    return static_cast<char32_t>(name);
  }

  void category(bool caseless) {
    size_t end = pattern.find('}', at);
    std::string_view name = pattern.substr(at).substr(1, end - at);
    bool known =
        end != std::string_view::npos && name.starts_with("{") &&
        std::ranges::find(categories, name.substr(1, name.size() - 2)) !=
            std::end(categories);
    if (!known || caseless)
      return refuse(caseless ? "a category under (?i:" : "this category");
    out.append("\\").append(pattern.substr(at, end + 1 - at));
    at = end + 1;
  }

  /// The '[' has been taken.
  void characterClass() {
    out += take("^") ? "[^" : "[";
    if (peek() == ']')
      return refuse("a class that begins with ']'");
    while (more() && peek() != ']') {
      if (peek() == '[' || pattern.substr(at).starts_with("&&"))
        return refuse("a class in a class");
      if (take("\\s")) {
        out += spaces;
        refuseRange();
        continue;
      }
      bool escaped = take("\\");
      if (escaped &&
          (peek() == 'p' || peek() == 'P' || peek() == 'd' || peek() == 'D')) {
        classOrCharacter();
        refuseRange();
        continue;
      }
      char32_t first = escaped ? escapedCharacter() : takeCharacter();
      out += spell(first);
      if (peek() != '-' || pattern.substr(at).starts_with("-]"))
        continue;
      if (first == '-')
        return refuse("'--' in a class");
      ++at;
      out += '-';
      if (peek() == '[' || pattern.substr(at).starts_with("&&"))
        return refuse("a class in a class");
      char32_t last = take("\\") ? escapedCharacter()
                      : more()   ? takeCharacter()
                                 : (refuse("a range without an end"), 0);
      if (last < first)
        refuse("a range that ends before it begins");
      out += spell(last);
      refuseRange();
    }
    if (status.ok() && !take("]"))
      refuse("a class that is not closed");
    out += ']';
  }

  void refuseRange() {
    if (peek() == '-' && !pattern.substr(at).starts_with("-]"))
      refuse("a '-' here");
  }

  void quantifier(bool allowed) {
    if (!more())
      return;
    char kind = peek();
    if (kind != '?' && kind != '*' && kind != '+' && kind != '{')
      return;
    if (!allowed)
      return refuse("a quantifier behind a lookahead");
    if (kind == '{')
      return repeats();
    out += kind;
    ++at;
    if (peek() == '?' || peek() == '+')
      out += pattern[at++];
    refuseQuantifier();
  }

  void repeats() {
    size_t end = pattern.find('}', at);
    std::string_view text = pattern.substr(at).substr(0, end + 1 - at);
    auto number = [&](size_t &i) {
      int value = -1;
      for (; i < text.size() && isDigit(text[i]) && value <= mostRepeats; ++i)
        value = (value < 0 ? 0 : value) * 10 + (text[i] - '0');
      return value;
    };
    size_t i = 1;
    int least = number(i), most = least;
    if (i < text.size() && text[i] == ',' && ++i < text.size() &&
        text[i] != '}')
      most = number(i);
    if (end == std::string_view::npos || i + 1 != text.size() || least < 0 ||
        least > mostRepeats || most < least || most > mostRepeats)
      return refuse(
          concat("expected {m}, {m,} or {m,n} with m <= n <= ", mostRepeats));
    out += text;
    at = end + 1;
    refuseQuantifier();
  }

  void refuseQuantifier() {
    char next = peek();
    if (next == '?' || next == '*' || next == '+' || next == '{')
      refuse("a quantifier of a quantifier");
  }

  void refuseFolded(char32_t first, char32_t second) {
    const char pair[] = {static_cast<char>(first | 0x20),
                         static_cast<char>(second | 0x20)};
    if (first && std::ranges::find(foldedPairs, std::string_view(pair, 2)) !=
                     std::end(foldedPairs))
      refuse(concat("'", std::string_view(pair, 2), "' under (?i:"));
  }

  std::string_view pattern;
  size_t at = 0;
  std::string out;
  Status status;
};

} // namespace

Result<std::string> translateOniguruma(std::string_view pattern) {
  if (pattern.size() > mostBytes)
    return unsupported(concat("pattern: expected at most ", mostBytes,
                              " bytes, found ", pattern.size()));
  return Translator(pattern).run();
}

std::string literalPattern(std::string_view text) {
  std::string pattern;
  for (size_t at = 0; at < text.size();) {
    Utf8Scan scan = scanUtf8(text, at);
    pattern += spell(scan.character);
    at += scan.bytes;
  }
  return pattern;
}

} // namespace coppice::rt
