// Qwen2 and Qwen2.5 (arXiv 2407.10671): biases on q, k and v, which no key
// tells, and windows in some layers.
#include "Architecture.h"
#include "ConfigReader.h"

namespace coppice {

static void read(ConfigReader &config, ModelDescription &model) {
  model.qkvBias = true;
  config.readWindowOfSomeLayers(model);
}

const Architecture qwen2Architecture = {.modelType = "qwen2", .read = read};

} // namespace coppice
