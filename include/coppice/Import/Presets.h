// Models of known shapes with generated weights: preset:NAME.
#ifndef COPPICE_IMPORT_PRESETS_H
#define COPPICE_IMPORT_PRESETS_H

#include "coppice/Import/LlamaModel.h"

#include <string_view>

namespace coppice {

rt::Result<LlamaDescription> findPreset(std::string_view name);

/// Mean and standard deviation of a generated weight. They keep the rows of all
/// layers near a root mean square of 1, so that logits are finite and spread.
struct GeneratedScale {
  double mean, stddev;
};
GeneratedScale generatedScale(const LlamaWeight &weight);

} // namespace coppice

#endif // COPPICE_IMPORT_PRESETS_H
