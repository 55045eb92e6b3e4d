// What runs dense though it is pruned, for people.
#ifndef COPPICE_RUNTIME_BUNDLE_FALLBACK_TEXT_H
#define COPPICE_RUNTIME_BUNDLE_FALLBACK_TEXT_H

#include "runtime/bundle/program.h"

namespace coppice::rt {

/// One line for all sites that are alike: "layers.*.mlp.down: predicted 0.89x
/// with groups of 32 and 90 % kept; runs dense and masked; larger groups or
/// fewer kept rows would pay". `sites`: all that there are.
std::vector<std::string>
describeFallbacks(const std::vector<Fallback> &fallbacks,
                  const std::vector<std::string> &sites);
std::vector<std::string> describeFallbacks(const Program &program);

} // namespace coppice::rt

#endif
