// See site_names.h.
#include "runtime/base/site_names.h"

#include "runtime/base/concat.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

namespace coppice::rt {

LayerSiteName::LayerSiteName(std::string_view site) : tail(site) {
  constexpr std::string_view prefix = "layers.";
  if (!site.starts_with(prefix))
    return;
  const char *end = site.data() + site.size();
  int64_t number = 0;
  auto [rest, error] =
      std::from_chars(site.data() + prefix.size(), end, number);
  if (error != std::errc() || (rest != end && *rest != '.') || number < 0)
    return;
  layer = number;
  tail = rest == end ? std::string_view()
                     : site.substr(static_cast<size_t>(rest + 1 - site.data()));
}

using Layers = std::set<int64_t>;

/// By what is behind the layer, in the order of the names; names that are of no
/// layer have none.
static std::vector<std::pair<std::string_view, Layers>>
byTail(const std::vector<std::string> &sites) {
  std::vector<std::pair<std::string_view, Layers>> found;
  for (const std::string &site : sites) {
    LayerSiteName name(site);
    auto at = std::find_if(found.begin(), found.end(), [&](const auto &entry) {
      return entry.first == name.tail;
    });
    if (at == found.end())
      at = found.insert(found.end(), {name.tail, {}});
    if (name.layer >= 0)
      at->second.insert(name.layer);
  }
  return found;
}

/// "*", "3", "[2-4]" or "{0,[2-4]}".
static std::string nameLayers(const Layers &layers, const Layers &all) {
  if (layers.size() > 1 && layers == all)
    return "*";
  std::vector<std::string> runs;
  for (auto at = layers.begin(); at != layers.end();) {
    int64_t first = *at, last = first;
    while (++at != layers.end() && *at == last + 1)
      last = *at;
    runs.push_back(first == last ? std::to_string(first)
                                 : "[" + std::to_string(first) + "-" +
                                       std::to_string(last) + "]");
  }
  std::string text;
  for (const std::string &run : runs)
    text += (text.empty() ? "" : ",") + run;
  return runs.size() > 1 ? "{" + text + "}" : text;
}

std::string describeSites(const std::vector<std::string> &sites,
                          const std::vector<std::string> &all) {
  std::map<std::string_view, Layers> layersOf;
  for (auto &[tail, layers] : byTail(all))
    layersOf[tail] = layers;
  // Heads, "layers.*.mlp", with the last components that they have.
  std::vector<std::pair<std::string, std::vector<std::string>>> globs;
  for (const auto &[tail, layers] : byTail(sites)) {
    std::string site(tail);
    if (!layers.empty())
      site = "layers." + nameLayers(layers, layersOf[tail]) +
             (tail.empty() ? "" : "." + site);
    size_t dot = site.rfind('.');
    std::string head = dot == std::string::npos ? "" : site.substr(0, dot + 1),
                last = site.substr(head.size());
    auto at = std::find_if(globs.begin(), globs.end(), [&](const auto &glob) {
      return !head.empty() && glob.first == head;
    });
    if (at == globs.end())
      at = globs.insert(globs.end(), {head, {}});
    at->second.push_back(last);
  }
  std::string text;
  for (const auto &[head, names] : globs) {
    std::string last;
    for (const std::string &name : names)
      last += (last.empty() ? "" : ",") + name;
    text += (text.empty() ? "" : ", ") + head +
            (names.size() > 1 ? "{" + last + "}" : last);
  }
  return text;
}

std::vector<std::string> groupByText(const std::vector<SiteText> &texts,
                                     const std::vector<std::string> &all) {
  std::vector<std::pair<std::string, std::vector<std::string>>> groups;
  for (const SiteText &one : texts) {
    auto at =
        std::find_if(groups.begin(), groups.end(), [&](const auto &group) {
          return group.first == one.text;
        });
    if (at == groups.end())
      at = groups.insert(groups.end(), {one.text, {}});
    at->second.push_back(one.site);
  }
  std::vector<std::string> lines;
  for (const auto &[text, sites] : groups)
    lines.push_back(concat(describeSites(sites, all), ": ", text));
  return lines;
}

} // namespace coppice::rt
