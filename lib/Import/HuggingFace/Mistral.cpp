// Mistral (arXiv 2310.06825): Llama, each row attending to the last positions
// only. A file that does not name the window means the first model's.
#include "Architecture.h"
#include "ConfigReader.h"
#include "ConfigWriter.h"

namespace coppice {

static void read(ConfigReader &config, ModelDescription &model) {
  config.readWindow(model, /*absent=*/4096);
  config.refuse("attention_bias");
  config.refuse("mlp_bias");
  config.refuse("layer_types");
}

static void write(ConfigWriter &config, const ModelDescription &model) {
  config.writeWindow(model);
}

const Architecture mistralArchitecture = {.modelType = "mistral",
                                          .className = "MistralForCausalLM",
                                          .read = read,
                                          .write = write};

} // namespace coppice
