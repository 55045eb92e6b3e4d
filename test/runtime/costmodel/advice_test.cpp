// Where pruning is predicted to cost more than it saves: sums by sublayer, with
// what routing adds.
#include "runtime/costmodel/advice.h"

#include <gtest/gtest.h>

using namespace coppice::rt;

namespace {

struct Timed {
  const char *site;
  DispatchKind kind;
  double seconds;
  int route; ///< -1: none
};

void add(Program &program, Estimate &estimate, const Timed &timed) {
  Dispatch dispatch;
  dispatch.site = timed.site;
  dispatch.kind = timed.kind;
  if (timed.route >= 0)
    dispatch.route = timed.route;
  program.dispatches.push_back(dispatch);
  estimate.dispatches.push_back({});
  estimate.dispatches.back().predictedSeconds = timed.seconds;
}

struct Pair {
  Program dense, pruned;
  Estimate denseEstimate, prunedEstimate;

  std::vector<Advice> advise() const {
    return adviseAgainst(dense, denseEstimate, pruned, prunedEstimate);
  }
};

void addRoute(Program &program, const char *name, const char *scores) {
  Route route;
  route.name = name;
  route.scores = scores;
  program.routes.push_back(route);
}

constexpr DispatchKind gemm = DispatchKind::Gemm;

TEST(Advice, RoutersAndListsCount) {
  Pair pair;
  for (const char *site : {"layers.0.mlp.down", "layers.1.mlp.down",
                           "layers.2.mlp.down", "lm_head"})
    add(pair.dense, pair.denseEstimate, {site, gemm, 1, -1});
  addRoute(pair.pruned, "layers.0.mlp.route", "layers.0.mlp.router");
  addRoute(pair.pruned, "layers.1.mlp.route", "layers.1.mlp.router");
  for (const Timed &timed : std::initializer_list<Timed>{
           // 0.8 + 0.2 + 0.1: a little slower than 1
           {"layers.0.mlp.router.out", gemm, 0.2, -1},
           {"layers.0.mlp.route", DispatchKind::Route, 0.1, -1},
           {"layers.0.mlp.down", gemm, 0.8, 0},
           // a sum of 0.9
           {"layers.1.mlp.router.out", gemm, 0.1, -1},
           {"layers.1.mlp.rows", DispatchKind::Compact, 0.1, -1},
           {"layers.1.mlp.down", gemm, 0.7, 1},
           // slower, but not pruned at run time
           {"layers.2.mlp.down", gemm, 2, -1},
           {"lm_head", gemm, 2, -1}})
    add(pair.pruned, pair.prunedEstimate, timed);
  auto advice = pair.advise();
  ASSERT_EQ(advice.size(), 1u);
  EXPECT_EQ(advice[0].site, "layers.0.mlp");
  EXPECT_NEAR(advice[0].predictedSpeedup, 1 / 1.1, 1e-12);
  EXPECT_EQ(describeAdvice(advice, pair.pruned, 16),
            std::vector<std::string>{
                "do not prune here: layers.0.mlp: predicted 0.91x at M = 16"});
}

TEST(Advice, ARouteOfALayerIsChargedToBothSublayers) {
  Pair pair;
  for (const char *site : {"layers.4.attn.o", "layers.4.mlp.down"})
    add(pair.dense, pair.denseEstimate, {site, gemm, 1, -1});
  addRoute(pair.pruned, "layers.4.route", "layers.4.router");
  for (const Timed &timed :
       std::initializer_list<Timed>{{"layers.4.router.out", gemm, 0.5, -1},
                                    {"layers.4.attn.o", gemm, 0.9, 0},
                                    {"layers.4.mlp.down", gemm, 0.6, 0}})
    add(pair.pruned, pair.prunedEstimate, timed);
  EXPECT_TRUE(pair.advise().empty());
  pair.prunedEstimate.dispatches[0].predictedSeconds = 1;
  auto advice = pair.advise();
  ASSERT_EQ(advice.size(), 1u);
  EXPECT_EQ(advice[0].site, "layers.4");
  EXPECT_DOUBLE_EQ(advice[0].predictedSpeedup, 0.8);
}

TEST(Advice, SitesThatAreAlikeAreSaidOnce) {
  Pair pair;
  for (const char *site : {"layers.0.mlp.down", "layers.1.mlp.down"}) {
    add(pair.dense, pair.denseEstimate, {site, gemm, 1, -1});
    add(pair.pruned, pair.prunedEstimate, {site, gemm, 2, -1});
    pair.pruned.dispatches.back().zeros = 0.5;
  }
  EXPECT_EQ(describeAdvice(pair.advise(), pair.pruned, 1),
            std::vector<std::string>{
                "do not prune here: layers.*.mlp: predicted 0.50x at M = 1"});
}

} // namespace
