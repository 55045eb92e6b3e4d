// See tokenizer.h.
#include "runtime/tokenizer/tokenizer.h"

#include "runtime/base/mapped_file.h"
#include "runtime/tokenizer/huggingface_tokenizer.h"
#include "runtime/tokenizer/llama2c_tokenizer.h"

namespace coppice::rt {

bool isHuggingFaceTokenizer(std::string_view file) {
  size_t first = file.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && file[first] == '{' &&
         file.find('\0') == std::string_view::npos;
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::parse(std::string_view file,
                                                    int64_t vocabulary) {
  if (isHuggingFaceTokenizer(file)) {
    auto tokenizer = HuggingFaceTokenizer::parse(file, vocabulary);
    if (!tokenizer)
      return tokenizer.status();
    return std::unique_ptr<Tokenizer>(*std::move(tokenizer));
  }
  auto tokenizer = Llama2CTokenizer::parse(file, vocabulary);
  if (!tokenizer)
    return tokenizer.status();
  return std::unique_ptr<Tokenizer>(
      std::make_unique<Llama2CTokenizer>(*std::move(tokenizer)));
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const std::string &path,
                                                   int64_t vocabulary) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.status();
  auto tokenizer = parse(file->text(), vocabulary);
  return tokenizer ? std::move(tokenizer) : tokenizer.status().at(path);
}

} // namespace coppice::rt
