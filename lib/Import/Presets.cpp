// The shapes of public models, from their published configurations, and a small
// one to try things on.
#include "coppice/Import/Presets.h"

#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"

#include <cmath>

namespace coppice {

static ModelDescription demo() {
  ModelDescription m;
  m.vocabulary = 32000;
  m.hidden = 768;
  m.layers.assign(6, {.heads = 12, .kvHeads = 4, .intermediate = 2048});
  m.headDim = 64;
  m.context = 2048;
  m.tied = true;
  m.bos = 1;
  m.eos = {2};
  return m;
}

/// Small enough to check every value of: three layers, widths that no tile
/// divides, query heads in groups of two.
static ModelDescription tiny() {
  ModelDescription m;
  m.vocabulary = 101;
  m.hidden = 44;
  m.layers.assign(3, {.heads = 6, .kvHeads = 3, .intermediate = 91});
  m.headDim = 10;
  m.context = 128;
  m.tied = true;
  m.bos = 1;
  m.eos = {2};
  return m;
}

/// The same with a KV head for each query head and a head of its own.
static ModelDescription tinyMHA() {
  ModelDescription m = tiny();
  for (LayerDescription &layer : m.layers)
    layer.kvHeads = layer.heads;
  m.tied = false;
  return m;
}

/// The same with biases, as Qwen2 has them, on q, k and v.
static ModelDescription tinyBias() {
  ModelDescription m = tiny();
  m.qkvBias = true;
  return m;
}

/// The same with norms of the heads of q and of k, as Qwen3 has them.
static ModelDescription tinyQKNorm() {
  ModelDescription m = tiny();
  m.family = "qwen3";
  m.qkNorm = true;
  return m;
}

/// The same where rows of two layers attend to the last five positions, as in
/// Mistral, and some columns of a head do not turn, as in Phi-3.
static ModelDescription tinyWindow() {
  ModelDescription m = tiny();
  m.family = "mistral";
  m.layers[0].window = m.layers[2].window = 5;
  m.rotaryDim = 6;
  return m;
}

/// The same after another tool has pruned it: each layer has widths of its own,
/// the first no attention, the last no MLP.
static ModelDescription tinyUneven() {
  ModelDescription m = tiny();
  m.layers = {{.intermediate = 37},
              {.heads = 4, .kvHeads = 2, .intermediate = 91},
              {.heads = 3, .kvHeads = 3}};
  return m;
}

static ModelDescription llama3(double factor, int64_t layers,
                               int64_t intermediate) {
  ModelDescription m;
  m.vocabulary = 128256;
  m.layers.assign(size_t(layers),
                  {.heads = 32, .kvHeads = 8, .intermediate = intermediate});
  m.context = 131072;
  m.rotaryBase = 500000;
  m.scaling = {RotaryScaling::Kind::Llama3, factor, 1, 4, 8192};
  m.bos = 128000;
  m.eos = {128001};
  return m;
}

static ModelDescription llama32With1B() {
  ModelDescription m = llama3(32, 16, 8192);
  m.hidden = 2048;
  m.headDim = 64;
  m.tied = true;
  return m;
}

static ModelDescription llama31With8B() {
  ModelDescription m = llama3(8, 32, 14336);
  m.hidden = 4096;
  m.headDim = 128;
  return m;
}

static ModelDescription qwen25With05B() {
  ModelDescription m;
  m.family = "qwen2";
  m.vocabulary = 151936;
  m.hidden = 896;
  m.layers.assign(24, {.heads = 14, .kvHeads = 2, .intermediate = 4864});
  m.headDim = 64;
  m.context = 32768;
  m.epsilon = 1e-6;
  m.rotaryBase = 1e6;
  m.tied = true;
  m.qkvBias = true;
  m.bos = 151643;
  m.eos = {151643};
  return m;
}

static ModelDescription qwen3With06B() {
  ModelDescription m;
  m.family = "qwen3";
  m.vocabulary = 151936;
  m.hidden = 1024;
  m.layers.assign(28, {.heads = 16, .kvHeads = 8, .intermediate = 3072});
  m.headDim = 128;
  m.context = 40960;
  m.epsilon = 1e-6;
  m.rotaryBase = 1e6;
  m.tied = true;
  m.qkNorm = true;
  m.bos = 151643;
  m.eos = {151645};
  return m;
}

rt::Result<ModelDescription> findPreset(std::string_view name) {
  static constexpr std::pair<std::string_view, ModelDescription (*)()>
      presets[] = {{"demo", demo},
                   {"tiny", tiny},
                   {"tiny-mha", tinyMHA},
                   {"tiny-bias", tinyBias},
                   {"tiny-qk-norm", tinyQKNorm},
                   {"tiny-window", tinyWindow},
                   {"tiny-uneven", tinyUneven},
                   {"llama-3.2-1b", llama32With1B},
                   {"llama-3.1-8b", llama31With8B},
                   {"qwen2.5-0.5b", qwen25With05B},
                   {"qwen3-0.6b", qwen3With06B}};
  std::string known;
  for (auto [preset, make] : presets) {
    if (preset == name) {
      ModelDescription model = make();
      model.name = preset;
      return model;
    }
    known += rt::concat(known.empty() ? "" : ", ", preset);
  }
  return rt::invalidArgument(rt::concat("expected a preset among ", known,
                                        ", found ", rt::quote(name)));
}

GeneratedScale generatedScale(const ModelWeight &weight) {
  switch (weight.kind) {
  case ModelWeight::Kind::Gain:
    return {1, 0.1};
  case ModelWeight::Kind::Bias:
    return {0, 0.02};
  case ModelWeight::Kind::Matrix:
    break;
  }
  return {0, 1 / std::sqrt(double(weight.shape[1]))};
}

} // namespace coppice
