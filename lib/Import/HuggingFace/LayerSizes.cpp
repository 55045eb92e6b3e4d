// Comes in: a configuration, the shapes of tensors. Goes out: the
// configuration with the sizes that layers really have.
//
// o has as many columns as there are query heads' columns, down as many as
// there are channels, in every architecture; KV heads are the rows of k, or
// what a fused tensor of q, k and v has beside those of q.
#include "LayerSizes.h"

#include "Architecture.h"
#include "runtime/base/concat.h"

#include "llvm/ADT/StringMap.h"

namespace coppice {

namespace {
class LayerSizes {
public:
  LayerSizes(HuggingFaceConfig &config, FindShape find)
      : config(config), find(find) {
    for (const ModelWeight &weight :
         locateWeights(*config.architecture, config.description))
      weights[weight.symbol] = weight;
  }

  std::string infer() {
    ModelDescription &model = config.description;
    for (size_t i = 0; i < model.layers.size(); ++i) {
      LayerDescription &layer = model.layers[i];
      const LayerDescription before = layer;
      const HuggingFaceConfig::Stated &stated = config.stated[i];
      if (layer.hasAttention())
        inferHeads(layer, stated, rt::concat("layers.", i, ".attn."));
      if (layer.hasMLP() && !stated.intermediate)
        if (int64_t columns =
                columnsOf(rt::concat("layers.", i, ".mlp.down.weight")))
          layer.intermediate = columns;
      if (layer.heads != before.heads || layer.kvHeads != before.kvHeads)
        note(i, layer.heads, layer.kvHeads == layer.heads ? "" : "/",
             layer.kvHeads, " heads");
      if (layer.intermediate != before.intermediate)
        note(i, layer.intermediate, "", -1, " channels");
    }
    if (shown > most)
      text += rt::concat(", .. (", shown, " in all)");
    return text;
  }

private:
  void inferHeads(LayerDescription &layer,
                  const HuggingFaceConfig::Stated &stated,
                  const std::string &site) {
    const int64_t headDim = config.description.headDim;
    LayerDescription found = layer;
    if (int64_t columns = columnsOf(site + "o.weight"); !stated.heads) {
      if (columns % headDim != 0)
        return; // not whole heads
      if (columns)
        found.heads = columns / headDim;
    }
    if (!stated.kvHeads) {
      const ModelWeight &k = weights[site + "k.weight"];
      std::vector<int64_t> shape = find(k.sourceKey);
      if (!shape.empty()) {
        const bool isFused = k.sourceRows != k.shape[0];
        int64_t rows = shape[0];
        if (isFused)
          rows = (rows - found.heads * headDim) / 2;
        if (rows < 1 || rows % headDim != 0)
          return;
        found.kvHeads = rows / headDim;
      }
    }
    // Else it is the tensors that are wrong: their shapes will not match.
    if (found.heads % found.kvHeads == 0)
      layer = found;
  }

  /// Columns of a matrix; 0 if there is none.
  int64_t columnsOf(const std::string &symbol) {
    std::vector<int64_t> shape = find(weights[symbol].sourceKey);
    return shape.size() == 2 ? shape[1] : 0;
  }

  void note(size_t layer, int64_t size, const char *separator, int64_t second,
            const char *what) {
    if (++shown > most)
      return;
    text +=
        rt::concat(text.empty() ? "" : ", ", "layers.", layer, " has ", size);
    if (*separator)
      text += rt::concat(separator, second);
    text += what;
  }

  static constexpr int most = 4;
  HuggingFaceConfig &config;
  FindShape find;
  llvm::StringMap<ModelWeight> weights;
  std::string text;
  int shown = 0;
};
} // namespace

std::string inferLayerSizes(HuggingFaceConfig &config, FindShape find) {
  return LayerSizes(config, find).infer();
}

} // namespace coppice
