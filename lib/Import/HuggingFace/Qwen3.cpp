// Qwen3 (arXiv 2505.09388): the heads of q and k are normed, each by itself;
// their size is a key of its own; no biases unless a key says so.
#include "Architecture.h"
#include "ConfigReader.h"
#include "ConfigWriter.h"

namespace coppice {

static void read(ConfigReader &config, ModelDescription &model) {
  model.qkNorm = true;
  model.qkvBias = model.outputBias =
      config.keys().flag("attention_bias", false);
  config.readWindowOfSomeLayers(model);
}

static void write(ConfigWriter &config, const ModelDescription &model) {
  config.set("attention_bias", model.qkvBias);
  config.writeWindowOfSomeLayers(model);
}

const Architecture qwen3Architecture = {.modelType = "qwen3",
                                        .className = "Qwen3ForCausalLM",
                                        .read = read,
                                        .write = write,
                                        .defaultHeadDim = 128};

} // namespace coppice
