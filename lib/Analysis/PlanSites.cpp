#include "coppice/Analysis/PlanSites.h"
#include "coppice/Analysis/Sites.h"

using namespace mlir;

namespace coppice {

bool namesSite(prune::DecisionOpInterface decision, StringRef site) {
  std::string error;
  std::optional<SiteGlob> glob = SiteGlob::parse(decision.getSites(), error);
  if (!glob)
    return false;
  std::optional<LayerSite> layer = parseLayerSite(site);
  return glob->match(site) || (layer && (glob->match(layer->sublayer) ||
                                         glob->match(layer->layerName)));
}

FailureOr<SiteGlob> parseSitesFlag(prune::PlanOp plan, StringRef sites,
                                   StringRef all) {
  std::string error;
  std::optional<SiteGlob> glob =
      SiteGlob::parse(sites.empty() ? all : sites, error);
  if (!glob)
    return plan.emitError() << "sites '" << sites << "': " << error;
  return std::move(*glob);
}

std::string describeSitesFlag(StringRef sites) {
  return sites.empty() ? "" : (" of '" + sites + "'").str();
}

} // namespace coppice
