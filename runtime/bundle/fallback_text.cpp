// See fallback_text.h.
#include "runtime/bundle/fallback_text.h"

#include "runtime/base/concat.h"
#include "runtime/base/site_names.h"

#include <algorithm>
#include <cstdio>

namespace coppice::rt {

/// All but the site.
static std::string describe(const Fallback &fallback) {
  char text[160];
  if (fallback.group == 0) {
    std::snprintf(text, sizeof text,
                  "predicted %.2fx with %.4g %% zeros; runs dense; more zeros "
                  "would pay",
                  fallback.predictedSpeedup, 100 * (1 - fallback.expected));
    return text;
  }
  std::snprintf(text, sizeof text,
                "predicted %.2fx with groups of %lld and %.4g %% kept; runs "
                "dense%s; ",
                fallback.predictedSpeedup,
                static_cast<long long>(fallback.group), 100 * fallback.expected,
                fallback.masked ? " and masked" : "");
  // Kernels have panels of 16 columns.
  return concat(text,
                fallback.group % 16 ? "larger groups, of a multiple of 16,"
                                    : "larger groups",
                " or fewer kept rows would pay");
}

std::vector<std::string>
describeFallbacks(const std::vector<Fallback> &fallbacks,
                  const std::vector<std::string> &sites) {
  std::vector<SiteText> texts;
  for (const Fallback &fallback : fallbacks)
    texts.push_back({fallback.site, describe(fallback)});
  return groupByText(texts, sites);
}

std::vector<std::string> describeFallbacks(const Program &program) {
  std::vector<std::string> sites;
  for (const Dispatch &dispatch : program.dispatches)
    sites.push_back(dispatch.site);
  return describeFallbacks(program.fallbacks, sites);
}

} // namespace coppice::rt
