// Text comes in, token ids go out; ids come in one by one, text goes out as
// soon as it is whole.
//
// Two kinds of files are known, and told apart by what is in them: Hugging
// Face's tokenizer.json (huggingface_tokenizer.h) and llama2.c's tokenizer.bin
// (llama2c_tokenizer.h). Both are untrusted.
#ifndef COPPICE_RUNTIME_TOKENIZER_TOKENIZER_H
#define COPPICE_RUNTIME_TOKENIZER_TOKENIZER_H

#include "runtime/base/status.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

/// What a special token's name in a text is (`<|im_end|>` in a prompt).
enum class SpecialTokens {
  AsText, ///< letters like any others: text forges no control token
  Parsed, ///< that token: for text whose writer may steer the model
};

/// The text of one sequence of ids, id by id. The tokenizer must outlive it.
class TextDecoder {
public:
  virtual ~TextDecoder() = default;

  /// The text that is whole now that `id` has come: bytes of a character that
  /// is not complete are held back. Control ids and ids outside the vocabulary
  /// have no text.
  virtual std::string next(int32_t id) = 0;

  /// What is held back when the sequence ends.
  virtual std::string finish() { return {}; }
};

class Tokenizer {
public:
  /// Reads the bytes of a tokenizer file of either kind. `vocabulary` is the
  /// number of ids that the model has (0: not known).
  static Result<std::unique_ptr<Tokenizer>> parse(std::string_view file,
                                                  int64_t vocabulary);
  static Result<std::unique_ptr<Tokenizer>> load(const std::string &path,
                                                 int64_t vocabulary);

  virtual ~Tokenizer() = default;

  /// Ids are 0 to size() - 1.
  virtual int64_t size() const = 0;

  /// The ids of `text`, with those that the file puts before (BOS) and after
  /// every text.
  virtual Result<std::vector<int32_t>> encode(std::string_view text,
                                              SpecialTokens special) const = 0;

  virtual std::unique_ptr<TextDecoder> decoder() const = 0;
};

/// Is it a tokenizer.json? (A tokenizer.bin begins with a length, which would
/// have to be absurd to look like one.)
bool isHuggingFaceTokenizer(std::string_view file);

} // namespace coppice::rt

#endif
