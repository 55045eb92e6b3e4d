// Phi-3 and Phi-4 (arXiv 2404.14219): q, k and v are the rows of one tensor,
// and so are gate and up; the last columns of a head may not turn.
#include "Architecture.h"
#include "ConfigReader.h"
#include "ConfigWriter.h"

namespace coppice {

static void read(ConfigReader &config, ModelDescription &model) {
  config.readWindow(model, /*absent=*/0);
  config.refuse("attention_bias");
  config.refuse("mlp_bias");
}

/// "model.layers.N.self_attn.q_proj.weight" is the first rows of
/// "model.layers.N.self_attn.qkv_proj.weight", and so on. What is two factors
/// is no rows of a tensor: then the others are on their own too.
static void locate(const ModelDescription &model, ModelWeight &weight) {
  llvm::StringRef symbol = weight.symbol;
  size_t number = 0;
  if (!symbol.consume_front("layers.") || symbol.consumeInteger(10, number))
    return;
  const LayerDescription &layer = model.layers[number];
  const int64_t q = layer.heads * model.headDim;
  const int64_t kv = layer.kvHeads * model.headDim;
  const LayerRanks &rank = layer.ranks;
  if (symbol.starts_with(".attn.") ? rank.q || rank.k || rank.v
                                   : rank.gate || rank.up)
    return;
  auto isPartOf = [&](llvm::StringRef tensor, int64_t first, int64_t rows) {
    weight.sourceKey =
        ("model.layers." + llvm::Twine(number) + "." + tensor + ".weight")
            .str();
    weight.firstRow = first;
    weight.sourceRows = rows;
  };
  if (symbol == ".attn.q.weight")
    isPartOf("self_attn.qkv_proj", 0, q + 2 * kv);
  else if (symbol == ".attn.k.weight")
    isPartOf("self_attn.qkv_proj", q, q + 2 * kv);
  else if (symbol == ".attn.v.weight")
    isPartOf("self_attn.qkv_proj", q + kv, q + 2 * kv);
  else if (symbol == ".mlp.gate.weight")
    isPartOf("mlp.gate_up_proj", 0, 2 * layer.intermediate);
  else if (symbol == ".mlp.up.weight")
    isPartOf("mlp.gate_up_proj", layer.intermediate, 2 * layer.intermediate);
}

static void write(ConfigWriter &config, const ModelDescription &model) {
  config.writeWindow(model);
  config.set("original_max_position_embeddings", model.context);
}

const Architecture phi3Architecture = {.modelType = "phi3",
                                       .className = "Phi3ForCausalLM",
                                       .read = read,
                                       .write = write,
                                       .locate = locate,
                                       .defaultEpsilon = 1e-5,
                                       .hasPartialRotary = true};

} // namespace coppice
