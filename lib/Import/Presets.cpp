// The shapes of public models, from their published configurations, and a small
// one to try things on.
#include "coppice/Import/Presets.h"

#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"

#include <cmath>

namespace coppice {

static LlamaDescription demo() {
  LlamaDescription m;
  m.vocabulary = 32000;
  m.hidden = 768;
  m.intermediate = 2048;
  m.layers = 6;
  m.heads = 12;
  m.kvHeads = 4;
  m.headDim = 64;
  m.context = 2048;
  m.tied = true;
  m.bos = 1;
  m.eos = {2};
  return m;
}

/// Small enough to check every value of: three layers, widths that no tile
/// divides, query heads in groups of two.
static LlamaDescription tiny() {
  LlamaDescription m;
  m.vocabulary = 101;
  m.hidden = 44;
  m.intermediate = 91;
  m.layers = 3;
  m.heads = 6;
  m.kvHeads = 3;
  m.headDim = 10;
  m.context = 128;
  m.tied = true;
  m.bos = 1;
  m.eos = {2};
  return m;
}

/// The same with a KV head for each query head and a head of its own.
static LlamaDescription tinyMHA() {
  LlamaDescription m = tiny();
  m.kvHeads = m.heads;
  m.tied = false;
  return m;
}

/// The same with biases, as Qwen2 has them, on q, k and v.
static LlamaDescription tinyBias() {
  LlamaDescription m = tiny();
  m.qkvBias = true;
  return m;
}

static LlamaDescription llama3(double factor) {
  LlamaDescription m;
  m.vocabulary = 128256;
  m.kvHeads = 8;
  m.heads = 32;
  m.context = 131072;
  m.rotaryBase = 500000;
  m.scaling = {RotaryScaling::Kind::Llama3, factor, 1, 4, 8192};
  m.bos = 128000;
  m.eos = {128001};
  return m;
}

static LlamaDescription llama32With1B() {
  LlamaDescription m = llama3(32);
  m.hidden = 2048;
  m.intermediate = 8192;
  m.layers = 16;
  m.headDim = 64;
  m.tied = true;
  return m;
}

static LlamaDescription llama31With8B() {
  LlamaDescription m = llama3(8);
  m.hidden = 4096;
  m.intermediate = 14336;
  m.layers = 32;
  m.headDim = 128;
  return m;
}

static LlamaDescription qwen25With05B() {
  LlamaDescription m;
  m.family = "qwen2";
  m.vocabulary = 151936;
  m.hidden = 896;
  m.intermediate = 4864;
  m.layers = 24;
  m.heads = 14;
  m.kvHeads = 2;
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

rt::Result<LlamaDescription> findPreset(std::string_view name) {
  static constexpr std::pair<std::string_view, LlamaDescription (*)()>
      presets[] = {{"demo", demo},
                   {"tiny", tiny},
                   {"tiny-mha", tinyMHA},
                   {"tiny-bias", tinyBias},
                   {"llama-3.2-1b", llama32With1B},
                   {"llama-3.1-8b", llama31With8B},
                   {"qwen2.5-0.5b", qwen25With05B}};
  std::string known;
  for (auto [preset, make] : presets) {
    if (preset == name) {
      LlamaDescription model = make();
      model.name = preset;
      return model;
    }
    known += rt::concat(known.empty() ? "" : ", ", preset);
  }
  if (name == "qwen3-0.6b")
    return rt::unsupported(
        "preset qwen3-0.6b is not supported yet: it norms the queries and keys "
        "of each head, which the decoder dialect cannot say; known: " +
        known);
  return rt::invalidArgument(rt::concat("expected a preset among ", known,
                                        ", found ", rt::quote(name)));
}

GeneratedScale generatedScale(const LlamaWeight &weight) {
  switch (weight.kind) {
  case LlamaWeight::Kind::Gain:
    return {1, 0.1};
  case LlamaWeight::Kind::Bias:
    return {0, 0.02};
  case LlamaWeight::Kind::Matrix:
    break;
  }
  return {0, 1 / std::sqrt(double(weight.shape[1]))};
}

} // namespace coppice
