// Qwen2 and Qwen2.5 (arXiv 2407.10671): biases on q, k and v, which no key
// tells, and windows in some layers.
#include "Architecture.h"
#include "ConfigReader.h"
#include "ConfigWriter.h"

namespace coppice {

static void read(ConfigReader &config, ModelDescription &model) {
  model.qkvBias = true;
  config.readWindowOfSomeLayers(model);
}

static void write(ConfigWriter &config, const ModelDescription &model) {
  config.writeWindowOfSomeLayers(model);
}

const Architecture qwen2Architecture = {.modelType = "qwen2",
                                        .className = "Qwen2ForCausalLM",
                                        .read = read,
                                        .write = write};

} // namespace coppice
