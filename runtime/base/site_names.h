// Names of sites for people: many that are alike as few globs.
#ifndef COPPICE_RUNTIME_BASE_SITE_NAMES_H
#define COPPICE_RUNTIME_BASE_SITE_NAMES_H

#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

/// The layer of "layers.3.mlp.down", and what is behind it: "mlp.down"; nothing
/// in "layers.3". Layer -1 and the whole name where it is no site of a layer.
struct LayerSiteName {
  int64_t layer = -1;
  std::string_view tail;
  explicit LayerSiteName(std::string_view site);
};

/// Globs as plans write them, which match all of `sites` and, of the sites that
/// there are (`all`), no others: "layers.*.mlp.{gate,up}, layers.[2-4].attn.o".
std::string describeSites(const std::vector<std::string> &sites,
                          const std::vector<std::string> &all);

/// A text about a site.
struct SiteText {
  std::string site, text;
};

/// A line "SITES: TEXT" for each text, in the order in which they come first.
std::vector<std::string> groupByText(const std::vector<SiteText> &texts,
                                     const std::vector<std::string> &all);

} // namespace coppice::rt

#endif
