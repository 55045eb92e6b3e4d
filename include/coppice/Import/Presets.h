// Models of known shapes with generated weights: preset:NAME.
#ifndef COPPICE_IMPORT_PRESETS_H
#define COPPICE_IMPORT_PRESETS_H

#include "coppice/Import/ModelDescription.h"

#include <string_view>

namespace coppice {

rt::Result<ModelDescription> findPreset(std::string_view name);

/// Mean and standard deviation of a generated weight. They keep the rows of all
/// layers near a root mean square of 1, so that logits are finite and spread.
struct GeneratedScale {
  double mean, stddev;
};
GeneratedScale generatedScale(const ModelWeight &weight);

} // namespace coppice

#endif // COPPICE_IMPORT_PRESETS_H
