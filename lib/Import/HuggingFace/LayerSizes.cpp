// Comes in: a configuration, the shapes of tensors. Goes out: the
// configuration with the sizes that layers really have.
//
// o has as many columns as there are query heads' columns, down as many as
// there are channels, in every architecture; KV heads are the rows of k, or
// what a fused tensor of q, k and v has beside those of q. Of two factors it is
// V that has the columns, and U that has the rows; there are two where a tensor
// has the name of one.
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
    if (!config.statesRanks)
      inferRanks();
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
        if (int64_t columns = columnsOf(rt::concat("layers.", i, ".mlp.down")))
          layer.intermediate = columns;
      const std::string name = rt::concat("layers.", i);
      if (layer.heads != before.heads || layer.kvHeads != before.kvHeads)
        layer.kvHeads == layer.heads
            ? note(name, layer.heads, " heads")
            : note(name, layer.heads, "/", layer.kvHeads, " heads");
      if (layer.intermediate != before.intermediate)
        note(name, layer.intermediate, " channels");
    }
    if (shown > most)
      text += rt::concat(", .. (", shown, " in all)");
    return text;
  }

private:
  /// A model that is all factors says what these are called.
  void inferRanks() {
    ModelDescription factored = config.description;
    for (LayerDescription &layer : factored.layers)
      for (auto [site, rank] : rankedProjections)
        layer.ranks.*rank = 1;
    llvm::StringMap<std::string> keys;
    for (ModelWeight &weight : locateWeights(*config.architecture, factored))
      keys[weight.symbol] = std::move(weight.sourceKey);
    for (size_t i = 0; i < factored.layers.size(); ++i)
      for (auto [site, rank] : rankedProjections) {
        const std::string name = rt::concat("layers.", i, ".", site);
        auto key = keys.find(name + ".weight");
        if (key == keys.end()) // the layer has no such half
          continue;
        std::vector<int64_t> shape = find(key->second);
        if (shape.size() != 2)
          continue;
        config.description.layers[i].ranks.*rank = shape[1];
        note(name, "rank ", shape[1]);
      }
  }

  void inferHeads(LayerDescription &layer,
                  const HuggingFaceConfig::Stated &stated,
                  const std::string &site) {
    const int64_t headDim = config.description.headDim;
    LayerDescription found = layer;
    if (int64_t columns = columnsOf(site + "o"); !stated.heads) {
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

  /// Columns of the matrix of a site; 0 if there is none.
  int64_t columnsOf(const std::string &site) {
    auto first = weights.find(site + ".v.weight");
    const ModelWeight &weight =
        first == weights.end() ? weights[site + ".weight"] : first->second;
    std::vector<int64_t> shape = find(weight.sourceKey);
    return shape.size() == 2 ? shape[1] : 0;
  }

  template <typename... What>
  void note(const std::string &name, const What &...what) {
    if (++shown <= most)
      text += rt::concat(text.empty() ? "" : ", ", name, " has ", what...);
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
