// Sites in few words: globs that match these sites and no others.
#include "runtime/base/site_names.h"

#include <gtest/gtest.h>

using namespace coppice::rt;

namespace {

std::vector<std::string> sitesOf(std::vector<int> layers,
                                 std::vector<std::string> tails) {
  std::vector<std::string> sites;
  for (int layer : layers)
    for (const std::string &tail : tails)
      sites.push_back("layers." + std::to_string(layer) + "." + tail);
  return sites;
}

TEST(SiteNames, Layer) {
  EXPECT_EQ(LayerSiteName("layers.12.mlp.down").layer, 12);
  EXPECT_EQ(LayerSiteName("layers.12.mlp.down").tail, "mlp.down");
  EXPECT_EQ(LayerSiteName("layers.3").layer, 3);
  EXPECT_EQ(LayerSiteName("layers.3").tail, "");
  for (const char *site : {"lm_head", "layers.", "layers.x.mlp",
                           "layers.3x.mlp", "layers.-1.mlp"}) {
    EXPECT_EQ(LayerSiteName(site).layer, -1) << site;
    EXPECT_EQ(LayerSiteName(site).tail, site);
  }
}

TEST(SiteNames, GlobsMatchTheseSitesAlone) {
  auto all = sitesOf({0, 1, 2, 3, 10}, {"attn.o", "mlp.gate", "mlp.up"});
  all.push_back("lm_head");
  EXPECT_EQ(
      describeSites(sitesOf({0, 1, 2, 3, 10}, {"mlp.gate", "mlp.up"}), all),
      "layers.*.mlp.{gate,up}");
  EXPECT_EQ(describeSites(sitesOf({10, 0, 2, 3}, {"attn.o"}), all),
            "layers.{0,[2-3],10}.attn.o");
  EXPECT_EQ(
      describeSites({"layers.1.mlp.up", "lm_head", "layers.2.mlp.up"}, all),
      "layers.[1-2].mlp.up, lm_head");
  EXPECT_EQ(describeSites({"layers.3.mlp.up"}, all), "layers.3.mlp.up");
  EXPECT_EQ(describeSites({"layers.0", "layers.1"}, {"layers.0", "layers.1"}),
            "layers.*");
  EXPECT_EQ(describeSites({}, all), "");
}

} // namespace
