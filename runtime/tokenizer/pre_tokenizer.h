// The "pre_tokenizer" of a tokenizer.json: a text in, the pieces out that
// merging never reaches across.
#ifndef COPPICE_RUNTIME_TOKENIZER_PRE_TOKENIZER_H
#define COPPICE_RUNTIME_TOKENIZER_PRE_TOKENIZER_H

#include "runtime/bundle/json_cursor.h"
#include "runtime/tokenizer/split_pattern.h"

#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

class PreTokenizer {
public:
  /// null, Split, Digits, ByteLevel, Metaspace, or a Sequence of these; the
  /// cursor's sink gets an error that names anything else.
  static PreTokenizer read(const JsonCursor &json);

  /// Are pieces spelled in bytes (byte_alphabet.h)? So they are behind a
  /// ByteLevel, which comes last or not at all.
  bool byteLevel() const { return bytes; }

  /// Pieces of a text, none of them empty. Views are of the text or of `owned`.
  struct Pieces {
    std::vector<std::string_view> pieces;
    std::deque<std::string> owned;
  };
  /// `text` is UTF-8; `first` says that it begins the sequence.
  Status split(std::string_view text, bool first, Pieces &result) const;

private:
  struct Step {
    enum class Kind { Split, Prefix, Metaspace } kind;
    // Split.
    enum class Behavior { Removed, Isolated, Previous, Next, Contiguous };
    Behavior behavior = Behavior::Isolated;
    bool invert = false;
    std::vector<SplitPattern> pattern; // of Split: one
    // Metaspace; Prefix puts a space before all.
    std::string replacement;
    enum class Prepend { Never, First, Always } prepend = Prepend::Never;
  };
  struct Piece {
    std::string_view text;
    bool first; // begins the sequence
  };

  void readInto(const JsonCursor &json);
  void readSplit(const JsonCursor &json);
  void readMetaspace(const JsonCursor &json);
  void addSplit(const JsonCursor &json, Result<SplitPattern> pattern,
                Step::Behavior behavior, bool invert);
  static Status applySplit(const Step &step, const std::vector<Piece> &pieces,
                           std::vector<Piece> &result);

  std::vector<Step> steps;
  bool bytes = false;
};

} // namespace coppice::rt

#endif
