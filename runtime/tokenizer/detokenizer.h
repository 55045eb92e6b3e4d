// The "decoder" of a tokenizer.json: tokens in, text out.
#ifndef COPPICE_RUNTIME_TOKENIZER_DETOKENIZER_H
#define COPPICE_RUNTIME_TOKENIZER_DETOKENIZER_H

#include "runtime/bundle/json_cursor.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coppice::rt {

/// What is done to tokens to make text of them.
class Detokenizer {
public:
  /// ByteLevel, Metaspace, or a Sequence of Replace (of a string),
  /// ByteFallback, Fuse and Strip in this order; the cursor's sink gets an
  /// error that names anything else.
  static Detokenizer read(const JsonCursor &json);

  /// The text of one sequence. Bytes that are not UTF-8 come out as U+FFFD, and
  /// not before it is certain that they are none.
  class Stream {
  public:
    explicit Stream(const Detokenizer &steps)
        : steps(steps), strips(steps.strips) {}
    std::string next(std::string_view token);
    std::string finish();

  private:
    void append(std::string_view bytes, std::string &text);
    void flush(std::string &text);
    std::string stripped(std::string text);

    const Detokenizer &steps;
    std::string pending; // bytes of a character that is not complete
    bool first = true;
    int64_t strips;
  };

private:
  void readStep(const JsonCursor &json, int &stage);
  std::string tokenText(std::string_view token, bool first) const;

  bool byteLevel = false, byteFallback = false;
  std::vector<std::pair<std::string, std::string>> replacements;
  std::string metaspace; // "": none
  bool dropsFirstMetaspace = false;
  std::string strip; // taken away at the beginning, at most `strips` times
  int64_t strips = 0;
};

} // namespace coppice::rt

#endif
