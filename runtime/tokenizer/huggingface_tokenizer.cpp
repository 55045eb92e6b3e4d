// See huggingface_tokenizer.h.
#include "runtime/tokenizer/huggingface_tokenizer.h"

#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/tokenizer/added_tokens.h"
#include "runtime/tokenizer/byte_pair_encoding.h"
#include "runtime/tokenizer/detokenizer.h"
#include "runtime/tokenizer/normalizer.h"
#include "runtime/tokenizer/post_template.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/utf8.h"
#include "runtime/tokenizer/vocabulary.h"

namespace coppice::rt {

struct HuggingFaceTokenizer::Stages {
  Vocabulary vocabulary;
  AddedTokens raw, normalized; // those found before and after normalizing
  Normalizer normalizer;
  PreTokenizer preTokenizer;
  BytePairEncoding model;
  PostTemplate around;
  Detokenizer detokenizer;
  std::unordered_map<int32_t, std::string> renamed; // see addTokens()

  Status addTokens();
};

/// A normalized token is looked for, and decoded to, in its normalized form.
Status HuggingFaceTokenizer::Stages::addTokens() {
  constexpr size_t most = size_t(1) << 24; // bytes of all; a node each
  size_t bytes = 0;
  auto take = [&](AddedTokens &to, const std::string &content,
                  const AddedToken &token) -> Status {
    if (content.size() > mostAddedTokenBytes)
      return unsupported(concat("added token ", quote(token.content),
                                ": expected at most ", mostAddedTokenBytes,
                                " bytes when normalized, found ",
                                content.size()));
    bytes += content.size();
    if (bytes > most)
      return unsupported(
          concat("expected at most ", most, " bytes of added tokens"));
    to.add(content, token);
    return {};
  };
  for (const AddedToken &token : vocabulary.added()) {
    if (!token.normalized) {
      if (Status status = take(raw, token.content, token); !status.ok())
        return status;
      continue;
    }
    Result<std::string> content = normalizer.apply(token.content);
    if (!content)
      return content.status();
    if (Status status = take(normalized, *content, token); !status.ok())
      return status;
    if (*content != token.content)
      renamed.emplace(token.id, *std::move(content));
  }
  return {};
}

HuggingFaceTokenizer::HuggingFaceTokenizer(std::unique_ptr<Stages> stages)
    : stages(std::move(stages)) {}
HuggingFaceTokenizer::~HuggingFaceTokenizer() = default;

int64_t HuggingFaceTokenizer::size() const {
  return static_cast<int64_t>(stages->vocabulary.size());
}

/// The schema, once the text is JSON.
template <typename Stages>
static Status readStages(const JsonCursor &root, int64_t vocabulary,
                         Stages &stages) {
  root.onlyKeys({"version", "truncation", "padding", "added_tokens",
                 "normalizer", "pre_tokenizer", "post_processor", "decoder",
                 "model"});
  if (std::string version = root.at("version").text();
      root.ok() && version != "1.0")
    root.at("version").fail(concat("expected '1.0', found ", quote(version)));
  // First of all what the model is: of another kind its vocabulary has another
  // form too.
  JsonCursor model = root.at("model");
  if (root.ok() && !model.isObject())
    model.expected("an object");
  if (root.ok() && model.has("type") && model.at("type").text() != "BPE")
    model.at("type").fail(concat("model ", quote(model.at("type").text()),
                                 " is not understood (known: BPE)"));
  stages.preTokenizer = PreTokenizer::read(root.at("pre_tokenizer"));
  stages.normalizer = Normalizer::read(root.at("normalizer"));
  stages.detokenizer = Detokenizer::read(root.at("decoder"));
  stages.vocabulary = Vocabulary::read(root, vocabulary);
  if (!root.ok())
    return {};
  stages.around =
      PostTemplate::read(root.at("post_processor"), stages.vocabulary.size());
  stages.model = BytePairEncoding::read(model, stages.vocabulary,
                                        stages.preTokenizer.byteLevel());
  return root.ok() ? stages.addTokens() : Status();
}

Result<std::unique_ptr<HuggingFaceTokenizer>>
HuggingFaceTokenizer::parse(std::string_view text, int64_t vocabulary) {
  // The largest in use are 40 MB or so.
  constexpr size_t most = size_t(256) << 20;
  if (text.size() > most)
    return invalidFile(concat("tokenizer: expected at most ", most,
                              " bytes, found ", text.size()));
  Result<Json> json = parseJson(text);
  if (!json)
    return json.status().at("tokenizer");
  auto stages = std::make_unique<Stages>();
  Status problem;
  Status status = readStages(JsonCursor(*json, problem), vocabulary, *stages);
  if (!problem.ok())
    return problem.at("tokenizer");
  if (!status.ok())
    return status.at("tokenizer");
  return std::unique_ptr<HuggingFaceTokenizer>(
      new HuggingFaceTokenizer(std::move(stages)));
}

/// Text between added tokens that are found before normalizing.
Status HuggingFaceTokenizer::encodeText(std::string_view text, bool first,
                                        SpecialTokens special,
                                        std::vector<int32_t> &ids) const {
  Result<std::string> normalized = stages->normalizer.apply(text);
  if (!normalized)
    return normalized.status();
  std::string_view all = *normalized;
  auto segments = stages->normalized.split(all, special);
  if (!segments)
    return segments.status();
  for (const AddedTokens::Segment &segment : *segments) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
      continue;
    }
    PreTokenizer::Pieces pieces;
    Status status = stages->preTokenizer.split(
        all.substr(segment.begin, segment.end - segment.begin),
        first && segment.begin == 0, pieces);
    if (!status.ok())
      return status;
    for (std::string_view piece : pieces.pieces)
      stages->model.encode(piece, ids);
  }
  return {};
}

Result<std::vector<int32_t>>
HuggingFaceTokenizer::encode(std::string_view text,
                             SpecialTokens special) const {
  // With the growth that the stages may add, places fit 32 bits.
  constexpr size_t most = size_t(64) << 20;
  if (text.size() > most)
    return invalidArgument(concat("text: expected at most ", most,
                                  " bytes at a time, found ", text.size()));
  if (size_t place = findInvalidUtf8(text); place != text.npos)
    return invalidArgument(concat("text: expected UTF-8, found another byte "
                                  "at ",
                                  place, " of ", text.size()));
  auto segments = stages->raw.split(text, special);
  if (!segments)
    return segments.status();
  std::vector<int32_t> ids = stages->around.before;
  for (const AddedTokens::Segment &segment : *segments) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
      continue;
    }
    Status status =
        encodeText(text.substr(segment.begin, segment.end - segment.begin),
                   segment.begin == 0, special, ids);
    if (!status.ok())
      return status;
  }
  ids.insert(ids.end(), stages->around.behind.begin(),
             stages->around.behind.end());
  return ids;
}

std::unique_ptr<TextDecoder> HuggingFaceTokenizer::decoder() const {
  class Decoder final : public TextDecoder {
  public:
    explicit Decoder(const Stages &stages)
        : stages(stages), stream(stages.detokenizer) {}

    std::string next(int32_t id) override {
      const Vocabulary &vocabulary = stages.vocabulary;
      if (id < 0 || size_t(id) >= vocabulary.size() ||
          vocabulary.isSpecial(id) || vocabulary.token(id).empty())
        return {};
      auto renamed = stages.renamed.find(id);
      return stream.next(renamed == stages.renamed.end() ? vocabulary.token(id)
                                                         : renamed->second);
    }
    std::string finish() override { return stream.finish(); }

  private:
    const Stages &stages;
    Detokenizer::Stream stream;
  };
  return std::make_unique<Decoder>(*stages);
}

} // namespace coppice::rt
