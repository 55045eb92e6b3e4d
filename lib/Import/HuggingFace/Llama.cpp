// Llama 1 to 3 (arXiv 2302.13971, 2307.09288, 2407.21783): the plan of which
// the others are variations.
#include "Architecture.h"
#include "ConfigReader.h"
#include "ConfigWriter.h"

namespace coppice {

static void read(ConfigReader &config, ModelDescription &model) {
  model.qkvBias = model.outputBias =
      config.keys().flag("attention_bias", false);
  model.mlpBias = config.keys().flag("mlp_bias", false);
  config.refuse("sliding_window");
  config.refuse("layer_types");
}

static void write(ConfigWriter &config, const ModelDescription &model) {
  config.set("attention_bias", model.qkvBias);
  config.set("mlp_bias", model.mlpBias);
}

const Architecture llamaArchitecture = {.modelType = "llama",
                                        .className = "LlamaForCausalLM",
                                        .read = read,
                                        .write = write};

} // namespace coppice
