// The text of a Hugging Face tokenizer.json comes in, an encoder and a decoder
// of text go out that give what the `tokenizers` library gives.
//
// Understood is byte-pair encoding: at the byte level (GPT-2, Llama 3, Qwen)
// and in SentencePiece's manner (Llama 2, Mistral). The stages of encoding are
// a file each: added tokens are found (added_tokens.h), the text between them
// is normalized (normalizer.h), cut into pieces (pre_tokenizer.h), and each
// piece is merged (byte_pair_encoding.h); decoding is detokenizer.h. What a
// file asks for and is not known here is an error that names it. "truncation"
// and "padding" say how to make batches and are passed over.
//
// The file is untrusted, and so is the text: nothing takes memory or time out
// of proportion to them.
#ifndef COPPICE_RUNTIME_TOKENIZER_HUGGINGFACE_TOKENIZER_H
#define COPPICE_RUNTIME_TOKENIZER_HUGGINGFACE_TOKENIZER_H

#include "runtime/tokenizer/tokenizer.h"

namespace coppice::rt {

class HuggingFaceTokenizer final : public Tokenizer {
public:
  /// `vocabulary` is the number of ids that the model has (0: not known). Many
  /// models have more than their tokenizer; fewer are an error.
  static Result<std::unique_ptr<HuggingFaceTokenizer>>
  parse(std::string_view json, int64_t vocabulary);

  ~HuggingFaceTokenizer() override;

  int64_t size() const override;

  /// What comes before and behind is that of the file's template. Text that is
  /// not UTF-8, or is more than 64 MiB, is an invalid argument.
  Result<std::vector<int32_t>> encode(std::string_view text,
                                      SpecialTokens special) const override;

  /// Special tokens have no text. Bytes that are not UTF-8 become U+FFFD.
  std::unique_ptr<TextDecoder> decoder() const override;

private:
  struct Stages;
  explicit HuggingFaceTokenizer(std::unique_ptr<Stages> stages);
  Status encodeText(std::string_view text, bool first, SpecialTokens special,
                    std::vector<int32_t> &ids) const;

  std::unique_ptr<const Stages> stages;
};

} // namespace coppice::rt

#endif
