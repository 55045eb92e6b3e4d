// Comes in: a llama2.c .bin. Goes out: its description, and a view of each
// tensor under its Hugging Face name.
//
// The header fixes the place of everything, so that the file's length is the
// one check of all the rest. q and k turn columns (2i, 2i + 1) of a head
// together where the `decoder` dialect turns (i, i + head_dim / 2): their rows
// are permuted when they are written (Weights.h).
#include "coppice/Import/Llama2C.h"

#include "runtime/base/checked.h"
#include "runtime/base/concat.h"
#include "runtime/base/sha256.h"

#include "llvm/Support/Endian.h"

#include <map>

namespace coppice {

static constexpr int64_t headerBytes = 7 * 4;

namespace {
/// A run of the file: one kind of tensor, stacked over `count` layers.
struct Section {
  std::string key;            // behind "model.layers.N." where it is stacked
  bool stacked;               // false: one tensor of that name
  std::vector<int64_t> shape; // of one layer
  int64_t interleavedHeadDim;
};
} // namespace

/// The sections in the order of the file. Those without a key are skipped.
static std::vector<Section> sectionsOf(const ModelDescription &m) {
  const LayerDescription &layer = m.layers.front(); // as all of them
  const int64_t q = layer.heads * m.headDim, kv = layer.kvHeads * m.headDim;
  std::vector<Section> sections = {
      {"model.embed_tokens.weight", false, {m.vocabulary, m.hidden}, 0},
      {"input_layernorm.weight", true, {m.hidden}, 0},
      {"self_attn.q_proj.weight", true, {q, m.hidden}, m.headDim},
      {"self_attn.k_proj.weight", true, {kv, m.hidden}, m.headDim},
      {"self_attn.v_proj.weight", true, {kv, m.hidden}, 0},
      {"self_attn.o_proj.weight", true, {m.hidden, q}, 0},
      {"post_attention_layernorm.weight", true, {m.hidden}, 0},
      {"mlp.gate_proj.weight", true, {layer.intermediate, m.hidden}, 0},
      {"mlp.down_proj.weight", true, {m.hidden, layer.intermediate}, 0},
      {"mlp.up_proj.weight", true, {layer.intermediate, m.hidden}, 0},
      {"model.norm.weight", false, {m.hidden}, 0},
      // Rotary tables, cosines and sines: made anew at run time.
      {"", false, {2, m.context, m.headDim / 2}, 0}};
  if (!m.tied)
    sections.push_back({"lm_head.weight", false, {m.vocabulary, m.hidden}, 0});
  return sections;
}

static int64_t bytesOf(const Section &section, int64_t layers) {
  int64_t elements = section.stacked ? layers : 1;
  for (int64_t extent : section.shape)
    elements *= extent;
  return elements * 4;
}

rt::Result<ModelDescription> parseLlama2CHeader(std::span<const std::byte> file,
                                                int64_t fileBytes) {
  if (int64_t(file.size()) < headerBytes || fileBytes < headerBytes)
    return rt::invalidFile(rt::concat("expected a header of ", headerBytes,
                                      " bytes, found a file of ", fileBytes));
  auto field = [&](int index) {
    return int64_t(llvm::support::endian::read32le(file.data() + 4 * index) ^
                   0x80000000u) -
           int64_t(0x80000000u); // as a signed number
  };
  ModelDescription model;
  model.hidden = field(0);
  const LayerDescription layer = {
      .heads = field(3), .kvHeads = field(4), .intermediate = field(1)};
  // In other formats a layer may do without.
  for (auto [what, extent] :
       {std::pair("number of heads", layer.heads),
        std::pair("intermediate size", layer.intermediate)})
    if (extent < 1)
      return rt::invalidFile(rt::concat("expected ", what, " from 1 to ",
                                        std::numeric_limits<int32_t>::max(),
                                        ", found ", extent));
  if (auto s = setLayers(model, field(2), layer); !s.ok())
    return s;
  model.tied = field(5) > 0; // a vocabulary below 0 says: with its own head
  model.vocabulary = model.tied ? field(5) : -field(5);
  model.context = field(6);
  model.bos = 1;
  model.eos = {2};
  if (layer.heads > 0) {
    if (model.hidden % layer.heads != 0)
      return rt::invalidFile(
          rt::concat("expected a hidden size that the number of heads divides, "
                     "found ",
                     model.hidden, " and ", layer.heads, " heads"));
    model.headDim = model.hidden / layer.heads;
  }
  if (auto s = checkDescription(model); !s.ok())
    return s;

  std::optional<int64_t> expected = headerBytes;
  if (!rt::checkedMul(model.context, model.headDim * 4))
    expected = std::nullopt;
  for (const Section &section : sectionsOf(model))
    if (expected)
      expected = rt::checkedAdd(*expected,
                                bytesOf(section, int64_t(model.layers.size())));
  if (!expected || *expected != fileBytes)
    return rt::invalidFile(rt::concat(
        "expected ", expected ? std::to_string(*expected) : "more than 2^63",
        " bytes by the header, found ", fileBytes));
  return model;
}

std::vector<TensorView> viewLlama2C(const ModelDescription &model,
                                    std::span<const std::byte> file) {
  std::map<std::string, TensorView> tensors;
  int64_t at = headerBytes;
  for (const Section &section : sectionsOf(model)) {
    const int64_t size = bytesOf(section, int64_t(model.layers.size()));
    const int64_t parts = section.stacked ? int64_t(model.layers.size()) : 1;
    for (int64_t part = 0; part < parts && !section.key.empty(); ++part) {
      std::string key =
          section.stacked ? rt::concat("model.layers.", part, ".", section.key)
                          : section.key;
      tensors[key] = {key, section.shape, rt::DType::F32,
                      file.subspan(size_t(at + part * (size / parts)),
                                   size_t(size / parts)),
                      section.interleavedHeadDim};
    }
    at += size;
  }
  std::vector<TensorView> views;
  for (const ModelWeight &weight : weightsOf(model))
    views.push_back(tensors.at(weight.key));
  return views;
}

rt::Result<Llama2CModel> openLlama2C(const std::string &path) {
  Llama2CModel model;
  auto opened = rt::MappedFile::open(path);
  if (!opened)
    return opened.status();
  model.weights.binary = *std::move(opened);
  auto bytes = model.weights.binary.bytes();
  auto description = parseLlama2CHeader(bytes, int64_t(bytes.size()));
  if (!description)
    return description.status().at(path);
  model.description = *std::move(description);
  model.weights.tensors = viewLlama2C(model.description, bytes);
  model.sourceSha256 = rt::sha256(bytes);
  return model;
}

} // namespace coppice
