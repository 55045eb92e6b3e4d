// config.json and model.safetensors.index.json of a Hugging Face directory:
// any bytes give a checked description or an error. What is accepted must be
// safe to work with: its weights are listed and counted.
#include "coppice/Import/HuggingFace.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  if (auto model = coppice::parseHuggingFaceConfig(text)) {
    if (coppice::countParameters(model->description) <= 0)
      std::abort();
    if (model->description.headDim <= 4096)
      for (float frequency : coppice::rotaryFrequencies(model->description))
        if (!(frequency >= 0 && frequency <= 1))
          std::abort();
  }
  if (auto files = coppice::parseSafetensorsIndex(text))
    for (const std::string &file : *files)
      if (file.empty() || file == ".." || file.find('/') != file.npos)
        std::abort();
  return 0;
}
