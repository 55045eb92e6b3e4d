// See advice.h.
#include "runtime/costmodel/advice.h"

#include "runtime/base/concat.h"
#include "runtime/base/site_names.h"
#include "runtime/costmodel/routing.h"

#include <algorithm>
#include <cstdio>
#include <set>

namespace coppice::rt {

/// "layers.3.mlp" of "layers.3.mlp.down"; empty where there is none.
static std::string sublayerOf(const std::string &site) {
  LayerSiteName name(site);
  if (name.layer < 0)
    return "";
  size_t length = name.tail.substr(0, name.tail.find('.')).size();
  return site.substr(0, site.size() - name.tail.size() + length);
}

static std::string layerOf(const std::string &site) {
  LayerSiteName name(site);
  return name.layer < 0 ? "" : concat("layers.", name.layer);
}

/// Layers that one route decides for: there is no sublayer's route.
static std::set<std::string> findRoutedLayers(const Program &program) {
  std::set<std::string> layers;
  for (const Route &route : program.routes)
    if (LayerSiteName name(route.name); name.layer >= 0 && name.tail == "route")
      layers.insert(layerOf(route.name));
  return layers;
}

std::vector<Advice> adviseAgainst(const Program &dense,
                                  const Estimate &denseEstimate,
                                  const Program &pruned,
                                  const Estimate &prunedEstimate) {
  std::set<std::string> routed = findRoutedLayers(pruned);
  auto unitOf = [&](const std::string &site) {
    std::string layer = layerOf(site);
    return routed.contains(layer) ? layer : sublayerOf(site);
  };
  std::map<std::string, double> denseSeconds, prunedSeconds;
  for (size_t i = 0; i < dense.dispatches.size(); ++i)
    denseSeconds[unitOf(dense.dispatches[i].site)] +=
        denseEstimate.dispatches[i].predictedSeconds;
  std::vector<std::string> order;
  std::set<std::string> dynamic;
  for (size_t i = 0; i < pruned.dispatches.size(); ++i) {
    const Dispatch &dispatch = pruned.dispatches[i];
    std::string unit = unitOf(dispatch.site);
    if (unit.empty())
      continue;
    prunedSeconds[unit] += prunedEstimate.dispatches[i].predictedSeconds;
    bool isDynamic =
        dispatch.route || dispatch.zeros > 0 || isAddedByRouting(pruned, i);
    if (isDynamic && dynamic.insert(unit).second)
      order.push_back(unit);
  }
  std::vector<Advice> advice;
  constexpr double least = 0.995;
  for (const std::string &unit : order) {
    double speedup = denseSeconds[unit] / prunedSeconds[unit];
    if (denseSeconds[unit] > 0 && speedup < least)
      advice.push_back({unit, speedup});
  }
  return advice;
}

std::vector<std::string> describeAdvice(const std::vector<Advice> &advice,
                                        const Program &pruned, int64_t rows) {
  std::vector<std::string> all;
  for (const Dispatch &dispatch : pruned.dispatches)
    for (std::string unit : {sublayerOf(dispatch.site), layerOf(dispatch.site)})
      if (!unit.empty() && std::find(all.begin(), all.end(), unit) == all.end())
        all.push_back(unit);
  std::vector<SiteText> texts;
  for (const Advice &one : advice) {
    char text[80];
    std::snprintf(text, sizeof text, "predicted %.2fx at M = %lld",
                  one.predictedSpeedup, static_cast<long long>(rows));
    texts.push_back({one.site, text});
  }
  std::vector<std::string> lines = groupByText(texts, all);
  for (std::string &line : lines)
    line = "do not prune here: " + line;
  return lines;
}

} // namespace coppice::rt
